"""A function recorded as a CUDA graph gives what it gives when it is called as it is."""

import pytest
import torch

from rsm.config.learning import Sac
from rsm.sac.kernels.graphs import Recorded
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.seeding import held_out_seeds
from rsm.traffic.environment import TrafficEnv
from rsm.training.drivers import MODES, learner_drivers, policy_driver
from rsm.training.evaluation import drive_episode
from rsm.training.loop import Training
from tests.sac.test_device import CUDA, with_gpu


def test_function_of_tensors_of_the_processor_is_called_as_it_is():
    calls = []

    def function(values):
        calls.append(values)
        return (values + 1,)

    recorded = Recorded(function)
    for number in range(5):
        [result] = recorded(torch.full((2,), float(number)))
        assert result.tolist() == [number + 1.0] * 2
    assert len(calls) == 5


@with_gpu
def test_replay_computes_anew_what_was_recorded_and_keeps_what_it_gave():
    calls, total = [], torch.zeros(2, device=CUDA)

    def function(values):
        calls.append(values)
        total.add_(values)
        return total * 1, values.square()

    recorded, kept = Recorded(function), []
    for number in range(6):
        kept.append(recorded(torch.full((2,), float(number), device=CUDA)))
    assert len(calls) == 3  # two plain ones, one recording
    assert [int(sums[0]) for sums, _ in kept] == [0, 1, 3, 6, 10, 15]
    assert [int(squares[1]) for _, squares in kept] == [0, 1, 4, 9, 16, 25]
    with pytest.raises(RuntimeError):  # another shape is computed plainly, and does not fit `total`
        recorded(torch.ones(3, device=CUDA))


def same_learners(**settings):
    sac = Sac(**({"hidden": (64, 48), "batch_size": 32} | settings))
    one, other = (
        Learner(sac, 5, 6, 1, 3.0, torch.Generator().manual_seed(0), device=CUDA) for _ in range(2)
    )
    other._updating = other._update_all  # as they are, without a graph
    other._acting = other._act
    return one, other


@with_gpu
@pytest.mark.parametrize("settings", [{}, {"gradient_clip": 0.5}])
def test_recorded_updates_and_actions_have_the_bits_of_plain_ones(settings):
    one, other = same_learners(**settings)
    replay = Replay(5, 200, 6, 1, CUDA)
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        row = [torch.rand(5, *shape, generator=generator).to(CUDA) for shape in ((6,), (1,), ())]
        replay.add(row[0], row[1], row[2], row[2], row[0], row[2])
    draws = torch.Generator(CUDA).manual_seed(2)
    # Rows of their own in between, after which those that are not alike are updated without a graph.
    for agents in (*[None] * 8, [0, 3], *[None] * 4):
        batch = replay.sample(32, draws)
        noise = torch.randn(2, *batch.unit_actions.shape, generator=draws, device=CUDA)
        losses = [learner.update(batch, noise, agents) for learner in (one, other)]
        for ours, plain in zip(*losses, strict=True):
            assert torch.equal(ours, plain)
        state = batch.observations[:, 0]
        acted = [learner.act(state, noise[0, :, 0]) for learner in (one, other)]
        for ours, plain in zip(*acted, strict=True):
            assert torch.equal(ours, plain)
    for name in ("theta", "critics", "targets", "log_alpha"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@with_gpu
@pytest.mark.parametrize("version", ["aug", "jul"])
def test_recorded_verdicts_of_the_published_code_have_the_bits_of_plain_ones(version, tiny):
    changes = {"mixing": {"published_code": version}, "training": {"episodes": 1}}
    config = tiny(**changes)
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env, CUDA)
        run.train_episode()
        judges, seen = run.exchange._judges, []
        recorded = judges._verdict

        def both(*parts):
            seen.append((recorded(*parts), judges._judged(*parts)))
            return seen[-1][0]

        judges._verdict = both
        for _ in range(3):
            run.exchange.hold_round(env.positions())
    assert len(seen) > 9
    for ours, plain in seen:
        for column, other in zip(ours, plain, strict=True):
            assert torch.equal(column.nan_to_num(), other.nan_to_num())


@with_gpu
def test_evaluation_on_a_gpu_is_that_of_the_host(tiny):
    config = tiny()
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env, CUDA)
        run.train_episode()
        on_host = run.learner.theta.detach().cpu()
        [seed] = held_out_seeds(0, 1)
        for mode, driver in learner_drivers(run.learner).items():
            there = drive_episode(env, driver, seed)
            here = drive_episode(env, policy_driver(run.learner.policy, on_host, mode), seed)
            assert there["return"] == pytest.approx(here["return"], rel=1e-3), mode
        assert set(learner_drivers(run.learner)) == set(MODES)
