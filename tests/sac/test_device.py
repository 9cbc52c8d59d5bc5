"""`--device`: what is refused, and that a GPU would be given everything an update needs.

Where there is no GPU, two stand-ins: fake tensors of a device that is not the processor (FakeTensorMode of
torch: devices and shapes without values), with which an operation that reads or makes a tensor on the host
fails; and a device that is called CUDA and is the processor, on which the code for a device must give the same
bits.
"""

import contextlib
import json

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as tree
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

from rsm.cli import parser as cli
from rsm.config.exchanging import Mixing
from rsm.config.learning import Sac
from rsm.config.loading import dump_yaml
from rsm.errors import ConfigError, RunError
from rsm.mixing.rules import Evidence, Judge, mixing_metric
from rsm.sac import device
from rsm.sac.device import device_failure, device_of, moved_together
from rsm.sac.learner import Learner
from rsm.sac.replay import Replay
from rsm.seeding import torch_generator
from rsm.traffic.environment import TrafficEnv
from rsm.training.finite import Diverged
from rsm.training.initial import LEARNERS
from rsm.training.loop import Training
from rsm.training.run import resume, train
from tests.training.run_folders import assert_same_run

CUDA = torch.device("cuda", 0)
# A torch without CUDA refuses copies between even fake CUDA tensors; a device registered in Python does not.
backend_registration._setup_privateuseone_for_python_backend("stand_in")
ELSEWHERE = torch.device("stand_in", 0)
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


class OnTheHost(AssertionError):
    """Raised when an operation leaves the device."""


class StaysOnDevice(TorchDispatchMode):
    """Every operation reads and makes tensors of `ELSEWHERE` only, and none asks for a value."""

    asks = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "unique")

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(word in func.overloadpacket.__name__ for word in self.asks):
            raise OnTheHost(f"{func} asks for a value")
        result = func(*args, **(kwargs or {}))
        for part in tree.tree_leaves((args, kwargs, result)):
            if isinstance(part, torch.Tensor) and part.device != ELSEWHERE:
                raise OnTheHost(f"{func}: {part.device}")
        self.operations += 1
        return result


def fill(replay: Replay, count: int, generator: torch.Generator | None = None) -> None:
    """Store `count` transitions of each agent: float64 that is drawn, or float32 without values elsewhere."""

    def values(*shape: int) -> torch.Tensor:
        if generator is None:
            return torch.empty(shape, device=ELSEWHERE)
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    for _ in range(count):
        agents = replay.agents
        states, following, actions = values(agents, 6), values(agents, 6), values(agents, 1)
        log_density, rewards, discount = (values(agents) for _ in range(3))
        replay.add(states, actions, log_density, rewards, following, discount)


class Fake:
    """Fake tensors of a GPU, without values; nothing is watched before `watched()`."""

    def __init__(self):
        self.mode = FakeTensorMode()

    def filled_learner(self, agents=3, **settings):
        sac = Sac(**({"hidden": (16, 12), "batch_size": 8} | settings))
        with self.mode:
            learner = Learner(sac, agents, 6, 1, 3.0, torch.Generator(), device=ELSEWHERE)
            replay = Replay(agents, 40, 6, 1, ELSEWHERE)
            fill(replay, 25)
        return learner, replay

    @contextlib.contextmanager
    def watched(self):
        with self.mode, StaysOnDevice() as watch:
            yield watch
        assert watch.operations


class CalledCuda(TorchFunctionMode):
    """Whatever is asked for on CUDA is made on the processor; copies to the host are counted."""

    def __init__(self):
        super().__init__()
        self.moved_there = self.moved_back = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if isinstance(kwargs.get("device"), torch.device):
            kwargs["device"] = torch.device("cpu")
        if func is torch.Tensor.to and args[1] == CUDA:
            self.moved_there += 1
            return args[0].clone()
        self.moved_back += func is torch.Tensor.cpu
        return func(*args, **kwargs)


@pytest.fixture
def called_cuda(monkeypatch):
    """The processor under the name of a GPU, generators included."""

    def generator(seed, stream, device="cpu"):
        return torch_generator(seed, stream)

    monkeypatch.setattr("rsm.training.loop.torch_generator", generator)

    def of_agent(seed, stream, device="cpu", node=None):
        return torch_generator(seed, stream, node=node)

    monkeypatch.setattr("rsm.training.streams.torch_generator", of_agent)
    monkeypatch.setattr("rsm.training.sharing.torch_generator", of_agent)
    monkeypatch.setattr(
        "rsm.training.run.gpu_name", lambda where: "a GPU" if where == CUDA else None
    )
    return CalledCuda()


@pytest.mark.parametrize(
    "text", ["gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1:2", "", "mps", "cuda "]
)
def test_what_is_no_device_is_refused_with_what_is_allowed(text):
    with pytest.raises(ConfigError, match=r"^--device: '.*' is not allowed: 'cpu'.* is expected$"):
        device_of(text)


def test_gpu_that_is_not_there_is_refused_in_one_line_and_nothing_is_written(
    tiny, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "run.yaml"
    file.write_text(dump_yaml(tiny()))
    command = ["train", "--config", str(file), "--out", str(tmp_path / "run"), "--device"]
    for version, reason in ((None, "has no CUDA"), ("13.0", "finds no CUDA GPU here")):
        monkeypatch.setattr(torch.version, "cuda", version)
        assert cli.main([*command, "cuda:1"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("rsm: --device: 'cuda:1' is not allowed: ")
        assert reason in lines[0] and lines[0].endswith("'cpu' is expected")
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


def test_gpus_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert device_of("cuda") == CUDA
    assert device_of("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match="'cuda' or 'cuda:0' to 'cuda:1' is expected"):
        device_of("cuda:2")


def test_manifest_names_the_device_and_the_settings_do_not(tiny, tmp_path, called_cuda):
    train(tiny(method="go"), tmp_path / "cpu")
    with called_cuda:
        train(tiny(method="go"), tmp_path / "gpu", CUDA)
    about = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("cpu", "gpu")]
    assert [one["device"] for one in about] == ["cpu", "cuda:0"]
    assert [one["machine"]["gpu"] for one in about] == [None, "a GPU"]
    assert about[0]["settings_hash"] == about[1]["settings_hash"]
    assert "device" not in (tmp_path / "gpu" / "config.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rsm", "average", "segment-average", "fmarl", "independent"])
def test_code_for_a_device_gives_the_bits_of_the_processor(method, tiny, tmp_path, called_cuda):
    config = tiny(method=method, training={"episodes": 2}, communication={"share": "actor+critic"})
    train(config, tmp_path / "cpu")
    with called_cuda:
        train(config, tmp_path / "gpu", CUDA)
    assert_same_run(tmp_path / "cpu", tmp_path / "gpu")


def test_decision_is_one_copy_to_the_device_and_one_back(tiny, called_cuda):
    config = tiny(method="independent")
    with TrafficEnv(config.traffic) as env, called_cuda as moves:
        run = Training(config, env, CUDA)
        before = moves.moved_there
        run.train_episode()
        assert run.updates > 5
        assert moves.moved_there - before == 1 + run.decisions  # one more for the first observation
        assert moves.moved_back == run.decisions


@pytest.mark.parametrize("place", ["decision", "round", "end"])
def test_divergence_on_a_device_is_seen_before_it_spreads_and_named_alike(
    place, tiny, called_cuda, monkeypatch
):
    changes = {"communication": {"period": 2 if place == "round" else 100}}
    if place == "end":
        changes["sac"] = {"update_every": 30}
    config = tiny(**changes)
    real = Learner.update

    def poisons(self, batch, noise, agents):
        losses = real(self, batch, noise, agents)
        self.told += 1
        if self.told == (1 if place == "end" else 4):
            self.critics[2, 1, 5] = float("inf")
            losses.critic[1] = float("nan")
        return losses

    monkeypatch.setattr(Learner, "update", poisons)
    monkeypatch.setattr(Learner, "told", 0, raising=False)
    words = []
    for where in (torch.device("cpu"), CUDA):
        mode = called_cuda if where == CUDA else contextlib.nullcontext()
        with TrafficEnv(config.traffic) as env, mode:
            run = Training(config, env, where)
            with pytest.raises(Diverged) as error:
                run.train_episode()
            words.append((str(error.value), run.decisions, run.exchange.rounds))
    assert words[0] == words[1]
    assert "critic loss of agent 1 is nan at update " in words[0][0]


def test_checkpoint_of_another_device_is_refused_in_one_line(tiny, tmp_path, called_cuda):
    config = tiny()
    with TrafficEnv(config.traffic) as env:
        with called_cuda:
            run = Training(config, env, CUDA)
            run.train_episode()
            run.save(tmp_path)
            again = Training(config, env, CUDA)
            resume(again, tmp_path)
        assert again.episode == 1 and torch.equal(again.learner.theta, run.learner.theta)
        words = (
            "its checkpoint was written on 'cuda', not on 'cpu'.* --device cuda .*device=cuda., or"
        )
        with pytest.raises(RunError, match=words):
            resume(Training(config, env), tmp_path)


def test_parts_are_moved_as_they_are():
    parts = (torch.rand(3, 4), torch.rand(3), torch.tensor([True, False, True]))
    with CalledCuda() as moves:
        states, rewards, ends = moved_together(CUDA, *parts)
    assert moves.moved_there == 1
    assert torch.equal(states, parts[0]) and torch.equal(rewards, parts[1])
    assert torch.equal(ends, parts[2].float())
    assert moved_together(device.CPU, *parts) == parts


def test_watch_notices_what_leaves_the_device():
    fake = Fake()
    with fake.mode:
        values = torch.zeros(3, device=ELSEWHERE)
    for leaves in (
        lambda: float(values.sum()),
        lambda: bool(values.any()),
        lambda: values.cpu(),
        lambda: values.tolist(),
        lambda: values[values > 0],
        lambda: values + torch.zeros(3),
        lambda: values.copy_(torch.zeros(3)),
        lambda: torch.arange(3)[:2].to(ELSEWHERE),
        lambda: torch.randn(3),
    ):
        with pytest.raises((OnTheHost, RuntimeError)), fake.watched():
            leaves()


@pytest.mark.parametrize("hidden", [(16, 12), (128, 128)])
def test_update_and_its_sampling_stay_on_fake_tensors_of_a_gpu(hidden):
    fake = Fake()
    learner, replay = fake.filled_learner(hidden=hidden, batch_size=128)
    generator = torch.Generator()
    with fake.watched():
        for batch_size in (128, 64):
            batch = replay.sample(batch_size, generator)
            noise = torch.randn(2, *batch.unit_actions.shape, generator=generator, device=ELSEWHERE)
            losses = learner.update(batch, noise)
    assert all(loss.device == ELSEWHERE and loss.shape == (3,) for loss in losses)


def test_acting_and_storing_stay_on_fake_tensors_of_a_gpu():
    fake = Fake()
    learner, replay = fake.filled_learner()
    with fake.watched():
        states = torch.empty(3, 6, device=ELSEWHERE)
        actions, log_density = learner.act(states, torch.randn(3, 1, device=ELSEWHERE))
        rewards = torch.empty(3, device=ELSEWHERE)
        replay.add(states, actions, log_density, rewards, states, rewards)


def test_update_of_a_run_stays_on_fake_tensors_of_a_gpu(tiny, called_cuda):
    fake, config = Fake(), tiny()
    with TrafficEnv(config.traffic) as env:
        with fake.mode:
            run = Training(config, env, ELSEWHERE)
            fill(run.replay, 50)
        with fake.watched():
            run.update()
            run.update()
    assert run.updates == 2 and run.watch.unseen.sums.device == ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("advantage", ["direct", "importance"])
@pytest.mark.parametrize("rule", ["theorem2", "certified", "line-search", "trust-region", "fixed"])
def test_judging_stays_on_fake_tensors_of_a_gpu(rule, advantage):
    fake = Fake()
    learner, replay = fake.filled_learner()
    generator = torch.Generator()
    settings = Mixing(rule=rule, advantage=advantage, zeta_fixed=0.1)

    def evidence():
        drawn = replay.sample_recent(16, 20, generator)
        noise = torch.randn(drawn.unit_actions.shape, generator=generator, device=ELSEWHERE)
        return Evidence(drawn.observations, drawn.unit_actions, drawn.log_density, noise)

    with fake.watched():
        judge = Judge(
            learner.policy,
            lambda states, actions: learner.critic.min_q(learner.critics, states, actions),
            learner.alpha,
            0.99,
            settings,
            evidence(),
            evidence(),
        )
        verdict = mixing_metric(judge, learner.theta, learner.theta + 1)
    assert all(column.device == ELSEWHERE and column.shape == (3,) for column in verdict)


@with_gpu
def test_update_on_a_gpu_is_that_of_the_processor():
    settings = Sac(hidden=(32, 24), batch_size=16)
    learners = {
        where: Learner(
            settings, 3, 6, 1, 3.0, torch.Generator().manual_seed(0), torch.float64, where
        )
        for where in (torch.device("cpu"), CUDA)
    }
    generator = torch.Generator().manual_seed(1)
    replay = Replay(3, 64, 6, 1, dtype=torch.float64)
    fill(replay, 64, generator)
    batch = replay.sample(16, generator)
    noise = torch.randn(2, 3, 16, 1, generator=generator, dtype=torch.float64)
    for where, learner in learners.items():
        learner.update(type(batch)(*(part.to(where) for part in batch)), noise.to(where))
    ours, theirs = (learner.state_dict() for learner in learners.values())
    for name in ("theta", "critics", "targets", "log_alpha"):
        torch.testing.assert_close(theirs[name].cpu(), ours[name], rtol=1e-10, atol=1e-10)


@with_gpu
def test_update_on_a_gpu_never_waits_for_it(tiny, monkeypatch):
    config, real = tiny(), Training.update
    updates = []

    def watched(self):
        if self.updates < 2:  # buffers and libraries are made by the first
            return real(self)
        torch.cuda.set_sync_debug_mode("error")
        try:
            updates.append(self.updates)
            return real(self)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Training, "update", watched)
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env, CUDA)
        for _ in range(2):
            run.train_episode()
    assert len(updates) > 5 and torch.isfinite(run.learner.theta).all()


@with_gpu
def test_tiny_run_on_a_gpu_is_whole_and_goes_on_after_an_interruption(tiny, tmp_path, monkeypatch):
    config = tiny()
    assert train(config, tmp_path / "whole", CUDA)["status"] == "finished"
    about = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    assert about["device"] == "cuda:0" and about["machine"]["gpu"]
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env, CUDA)
        run.train_episode()
        run.save(tmp_path)
        again = Training(config, env, CUDA)
        resume(again, tmp_path)
        run.train_episode()
        again.train_episode()
    assert torch.equal(run.learner.theta, again.learner.theta)


def test_device_without_memory_ends_the_run_in_one_line(tiny, tmp_path, called_cuda, monkeypatch):
    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Training, "update", full)
    with called_cuda, pytest.raises(RunError, match="episode 1: cuda:0 has no memory left; repeat"):
        train(tiny(), tmp_path / "run", CUDA)
    monkeypatch.setitem(LEARNERS, "sac", lambda *_, **__: full(None))
    with called_cuda, pytest.raises(ConfigError, match="they need more memory than there is"):
        train(tiny(), tmp_path / "other", CUDA)
    assert not (tmp_path / "other").exists()


def test_failure_of_a_gpu_is_a_line_and_that_of_anything_else_is_not_hidden():
    gpu, processor = torch.device("cuda", 1), torch.device("cpu")
    failure = RuntimeError(
        "CUDA error: no kernel image is available\nCompile with TORCH_USE_CUDA_DSA"
    )
    assert device_failure(failure, gpu) == "cuda:1: CUDA error: no kernel image is available"
    assert device_failure(torch.OutOfMemoryError("x"), gpu) == "cuda:1 has no memory left"
    assert device_failure(RuntimeError("shapes do not match"), gpu) is None
    assert device_failure(failure, processor) is None
