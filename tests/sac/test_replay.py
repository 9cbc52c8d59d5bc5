import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsm.sac.n_step import NStepReturns
from rsm.sac.replay import Replay


def filled(added: int, capacity: int = 5) -> Replay:
    """Transition t of agent i has 100 i + t everywhere."""
    replay = Replay(agents=3, capacity=capacity, observation_size=2, action_size=1)
    base = 100.0 * torch.arange(3)
    for t in range(added):
        value = base + t
        two = value[:, None].expand(3, 2)
        replay.add(two, value[:, None], value, value, two, torch.zeros(3))
    return replay


def test_agents_sample_only_their_own_transitions():
    batch = filled(5).sample(64, torch.Generator().manual_seed(0))
    assert batch.observations.shape == (3, 64, 2)
    assert [set((row // 100).tolist()) for row in batch.rewards] == [{0.0}, {1.0}, {2.0}]
    torch.testing.assert_close(batch.unit_actions[..., 0], batch.rewards)


def test_full_ring_forgets_the_oldest():
    replay = filled(8)
    assert len(replay) == 5
    batch = replay.sample(500, torch.Generator().manual_seed(0))
    assert set(batch.rewards[0].tolist()) == {3.0, 4.0, 5.0, 6.0, 7.0}


def test_recent_states_are_the_latest_ones():
    batch = filled(8).sample_recent(500, 2, torch.Generator().manual_seed(0))
    assert set(batch.rewards[0].tolist()) == {6.0, 7.0}


def folds_of(replay: Replay, recent: int, folds: int = 2) -> list[set[float]]:
    """What the folds of the latest transitions can draw, for agent 0."""
    generator = torch.Generator().manual_seed(0)
    return [
        set(replay.sample_recent(900, recent, generator, fold, folds).rewards[0].tolist())
        for fold in range(folds)
    ]


def in_episodes(lengths: list[int], capacity: int) -> Replay:
    """Episodes of these lengths, one agent; transition t of all has t everywhere."""
    replay, number = Replay(1, capacity, observation_size=1, action_size=1), 0
    returns = NStepReturns(replay, 3, 1.0)
    for place, length in enumerate(lengths):
        for _ in range(length):
            value = torch.full((1,), float(number))
            zero = torch.zeros(1)
            returns.add(value[None], value[None], value, value, value[None], zero == 0)
            number += 1
        if place < len(lengths) - 1:
            returns.flush()
    return replay


def test_folds_of_the_recent_are_of_different_episodes():
    """Also where the ring has wrapped, and with n-step transitions that wait for the end of an episode."""
    replay = in_episodes([10, 10, 10, 10, 0], capacity=35)
    even, odd = folds_of(replay, 30)
    assert even == {float(t) for t in range(20, 30)}
    assert odd == {float(t) for t in (*range(10, 20), *range(30, 40))}
    other = in_episodes([0], capacity=35)
    other.load_state_dict(replay.state_dict())
    assert folds_of(other, 30) == [even, odd]


def test_folds_within_one_episode_are_apart_in_time():
    for lengths in ([2, 60], [57, 5]):
        later, earlier = folds_of(in_episodes(lengths, capacity=90), 50)
        assert len(later) == len(earlier) == 22
        assert min(later) - max(earlier) > 5
    assert folds_of(filled(8), 5) == [{7.0, 6.0}, {5.0, 4.0}]
    with pytest.raises(ValueError, match="1 transitions cannot be parted in 2 folds"):
        filled(1).sample_recent(1, 6, torch.Generator(), 1, 2)


@pytest.mark.parametrize(
    ("added", "expected"), [(3, [2, 1, 0]), (5, [4, 3, 2, 1]), (8, [7, 6, 5, 4])]
)
def test_latest_transitions_come_newest_first(added: int, expected: list[int]):
    batch = filled(added).latest(4)
    for agent in range(3):
        assert batch.rewards[agent].tolist() == [100 * agent + t for t in expected]
    torch.testing.assert_close(batch.observations[..., 1], batch.rewards)


def test_restored_replay_draws_the_same_batch():
    for added in (3, 8):
        replay, other = filled(added), filled(0)
        other.load_state_dict(replay.state_dict())
        ours, theirs = (r.sample(20, torch.Generator().manual_seed(1)) for r in (replay, other))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_n_step_transitions_sum_rewards_up_to_n_a_collision_or_the_end(steps: int):
    """Against the plain definition, agent by agent, with collisions in the middle and a short end."""
    gamma, length, agents = 0.9, 12, 3
    draw = torch.Generator().manual_seed(steps)
    rewards = torch.rand(length, agents, generator=draw)
    ends = torch.rand(length, agents, generator=draw) < 0.2
    replay = Replay(agents, capacity=length, observation_size=1, action_size=1)
    returns = NStepReturns(replay, steps, gamma)
    for t in range(length):
        here, there = torch.full((agents, 1), float(t)), torch.full((agents, 1), t + 1.0)
        returns.add(here, here / 100, here[:, 0], rewards[t], there, ends[t])
        assert len(replay) == max(0, t + 2 - steps)
    returns.flush()
    assert len(replay) == length
    batch = replay.sample(2000, draw)
    for agent in range(agents):
        for i in range(2000):
            start = int(batch.observations[agent, i, 0])
            total, discount = 0.0, 1.0
            for t in range(start, min(start + steps, length)):
                total += discount * float(rewards[t, agent])
                discount *= gamma * (1 - float(ends[t, agent]))
                if discount == 0:
                    break
            assert float(batch.rewards[agent, i]) == pytest.approx(total, rel=1e-5)
            assert float(batch.discount[agent, i]) == pytest.approx(discount, rel=1e-5)
            if discount:
                assert batch.next_observations[agent, i, 0] == min(start + steps, length)
            assert float(batch.log_density[agent, i]) == start


def test_next_episode_begins_without_steps_of_the_one_before():
    replay = Replay(1, capacity=9, observation_size=1, action_size=1)
    returns = NStepReturns(replay, 3, 0.5)
    for reward in (1.0, 1.0):
        value = torch.full((1,), reward)
        returns.add(value[None], value[None], value, value, value[None], torch.zeros(1))
    returns.flush()
    for _ in range(3):
        zero = torch.zeros(1)
        returns.add(zero[None], zero[None], zero, zero, zero[None], zero)
    batch = replay.sample(200, torch.Generator().manual_seed(0))
    assert set(batch.rewards[0].tolist()) == {1.5, 1.0, 0.0}


LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def drive_slots(
    stays: list[list[int]], gaps: list[list[int]], steps: int, garbage: float, capacity: int = 40
) -> Replay:
    """A replay of slots whose vehicles stay and are awaited so long; what stands in an empty slot is `garbage`.

    Observation t of vehicle v in slot i is 1000 i + 100 v + t, also as action and density; rewards are 1.
    """
    agents, length = len(stays), 30
    acted, left = np.zeros((length, agents), dtype=bool), np.zeros((length, agents), dtype=bool)
    told = np.full((length, agents), garbage)
    for slot, (stay, gap) in enumerate(zip(stays, gaps, strict=True)):
        now = 0
        for vehicle, (decisions, wait) in enumerate(zip(stay, gap, strict=False)):
            now += wait
            for t in range(decisions):
                if now < length:
                    acted[now, slot], told[now, slot] = True, 1000 * slot + 100 * vehicle + t
                    left[now, slot] = t == decisions - 1
                now += 1
    replay = Replay(agents, capacity, observation_size=1, action_size=1)
    returns = NStepReturns(replay, steps, 0.5)
    for t in range(length):
        here = torch.tensor(told[t], dtype=torch.float32)
        there = torch.where(torch.tensor(acted[t]), here + 0.5, garbage)
        reward = torch.where(torch.tensor(acted[t]), 1.0, garbage)
        ends = torch.tensor(~acted[t] & (garbage > 0))
        returns.add(
            here[:, None], here[:, None], here, reward, there[:, None], ends, acted[t], left[t]
        )
    returns.flush()
    return replay


@given(st.lists(st.tuples(LENGTHS, LENGTHS), min_size=2, max_size=4), st.integers(1, 4))
def test_what_stands_in_an_empty_slot_changes_no_bit(slots, steps):
    stays, gaps = ([pair[which] for pair in slots] for which in (0, 1))
    one, other = (drive_slots(stays, gaps, steps, garbage) for garbage in (0.0, 77.0))
    assert one.stored.tolist() == other.stored.tolist()
    for draw in (
        lambda replay: replay.sample(20, torch.Generator().manual_seed(1)),
        lambda replay: replay.sample_recent(20, 12, torch.Generator().manual_seed(2)),
    ):
        assert all(torch.equal(a, b) for a, b in zip(draw(one), draw(other), strict=True))


@given(st.lists(st.tuples(LENGTHS, LENGTHS), min_size=2, max_size=4), st.integers(1, 4))
def test_transition_of_a_slot_is_of_one_vehicle_and_ends_with_what_it_saw_last(slots, steps):
    """Leaving is a truncation: rewards up to then, and the value of the last observation."""
    stays, gaps = ([pair[which] for pair in slots] for which in (0, 1))
    replay = drive_slots(stays, gaps, steps, -5.0)
    batch = replay.sample(100, torch.Generator().manual_seed(0))
    for slot in range(len(slots)):
        if not replay.stored[slot]:
            continue
        for i in range(100):
            start = float(batch.observations[slot, i, 0])
            vehicle, t = divmod(start - 1000 * slot, 100)
            elapsed = sum(gaps[slot][: int(vehicle) + 1]) + sum(stays[slot][: int(vehicle)])
            there = min(stays[slot][int(vehicle)], 30 - elapsed)  # the episode has 30 decisions
            count = min(steps, there - int(t))
            assert float(batch.rewards[slot, i]) == sum(0.5**k for k in range(count))
            assert float(batch.discount[slot, i]) == 0.5**count
            assert float(batch.next_observations[slot, i, 0]) == start + count - 0.5


def test_slots_draw_only_their_own_and_folds_of_a_slot_are_of_different_episodes():
    replay = Replay(2, 60, observation_size=1, action_size=1)
    for episode in range(4):
        for t in range(10):
            value = torch.tensor([100.0 * episode + t, 1000.0 + 100 * episode + t])
            two = value[:, None]
            acted = np.array([True, t % 3 == 0 and episode > 1])
            replay.add(two, two, value, value, two, value, acted)
        replay.end_episode()
    assert replay.stored.tolist() == [40, 8] and len(replay) == 40
    generator = torch.Generator().manual_seed(0)
    folds = [replay.sample_recent(400, 20, generator, fold, 2).rewards for fold in (0, 1)]
    of_episode = [
        [sorted({int(value) // 100 % 10 for value in rows.tolist()}) for rows in fold]
        for fold in folds
    ]
    assert of_episode == [[[2], [2]], [[3], [3]]]
    assert set((folds[0][1] >= 1000).tolist()) == {True}
    for agent in (0, 1):  # alone
        for fold in (0, 1):
            [alone] = replay.sample_recent(400, 20, {agent: generator}, fold, 2).rewards
            assert set(alone.tolist()) == set(folds[fold][agent].tolist())
    other = Replay(2, 60, observation_size=1, action_size=1)
    other.load_state_dict(replay.state_dict())
    ours, theirs = (r.sample(20, torch.Generator().manual_seed(1)) for r in (replay, other))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
