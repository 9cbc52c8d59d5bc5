import torch

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


def test_restored_replay_draws_the_same_batch():
    for added in (3, 8):
        replay, other = filled(added), filled(0)
        other.load_state_dict(replay.state_dict())
        ours, theirs = (r.sample(20, torch.Generator().manual_seed(1)) for r in (replay, other))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
