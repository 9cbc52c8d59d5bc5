"""The training loop: act, store, update, communicate, record, checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsm.config.run import RunConfig
from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.exchange.channel import Ledger
from rsm.runs.checkpoint import Pace, load_checkpoint, prefer, remove_checkpoints, save_checkpoint
from rsm.runs.folder import alone_in, check_folder, finished_summary, prepare_folder
from rsm.runs.manifest import ended, manifest
from rsm.runs.policy import save_policy
from rsm.runs.recorder import Recorder, exchange_rows
from rsm.runs.summary import summary, write_config, write_run
from rsm.sac.device import CPU, device_failure, gpu_name, moved_together
from rsm.sac.exploration import Exploration
from rsm.sac.learner import Learner, Losses
from rsm.sac.replay import NStepReturns, Replay
from rsm.seeding import Stream, held_out_seeds, torch_generator, training_seed
from rsm.traffic.environment import TrafficEnv
from rsm.training.communication import Communication
from rsm.training.evaluation import controller_driver, evaluate, policy_driver
from rsm.training.finite import Diverged, Watch
from rsm.training.progress import Progress

COUNTERS = ("episode", "env_steps", "decisions", "updates", "resumed")


def train(config: RunConfig, folder: Path, device: torch.device = CPU) -> dict[str, Any]:
    """Run `config` and leave its run folder; returns the content of summary.json. Tensors live on `device`.

    Goes on from a checkpoint of the same settings, does nothing where the folder holds the finished run, and
    rebuilds a folder whose settings differ. A run that diverges ends as a failed result, with what it has.
    Raises ConfigError before anything is written, and RunError where SUMO, the disk or another process stops
    the run; its last checkpoint stays.
    """
    torch.set_num_threads(1)
    check_folder(folder)
    if (finished := already_there(folder, config)) is not None:
        return finished
    with TrafficEnv(config.driven) as env:
        run = begin(config, env, device)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"--out: {one_line(folder)} is not allowed: {error.strerror}; a new or run folder is expected"
            ) from None
        try:
            with alone_in(folder):
                # Another process may have finished it since we looked.
                if (finished := already_there(folder, config)) is not None:
                    return finished
                prepare_folder(folder)
                write_config(folder, config)  # an interrupted folder says what it is
                return carry_out(run, folder)
        except OSError as error:
            raise RunError(
                f"{config.run_id}: {folder}: {error.strerror or error}; the last checkpoint is kept: "
                "run it again to go on from there"
            ) from None


def already_there(folder: Path, config: RunConfig) -> dict[str, Any] | None:
    """The summary of the finished run that the folder holds, without its checkpoints; None if there is none."""
    finished = finished_summary(folder, config)
    if finished is not None and finished.get("status") == "finished":
        remove_checkpoints(folder)  # of a process that was killed before it could
    return finished


def begin(config: RunConfig, env: TrafficEnv, device: torch.device = CPU) -> Training:
    """A run before its first episode; raises ConfigError for settings that cannot be."""
    try:
        return Training(config, env, device)
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not full and "allocate memory" not in str(error):
            if (reason := device_failure(error, device)) is None:
                raise
            raise RunError(f"{config.run_id}: {reason}; try --device cpu") from None
        raise ConfigError(
            f"sac: hidden {config.sac.hidden}, replay_size {config.sac.replay_size} are not allowed: "
            "they need more memory than there is"
        ) from None


def carry_out(run: Training, folder: Path) -> dict[str, Any]:
    """Train or measure, and write the run folder; returns the content of summary.json."""
    config, failure = run.config, None
    about = manifest(config, str(run.device), gpu_name(run.device))
    if config.learns:
        run.resume(folder)
        try:
            failure = run.learn(folder)
        except (RunError, RuntimeError) as error:
            reason = error if isinstance(error, RunError) else device_failure(error, run.device)
            if reason is None:
                raise
            raise RunError(
                f"{config.run_id}: episode {run.episode}: {reason}; the last checkpoint is kept: "
                "run it again to go on from there"
            ) from None
    else:
        run.measure_control()
    ledger, trace = run.ledger, run.recorder.table("zeta")
    last_round = run.exchange.last_round if run.exchange else ledger.bytes_per_pair
    run.recorder.add("exchange", *exchange_rows(ledger, last_round, trace))
    content = summary(config, run.recorder, run.ledger, run.parameters, run.wall_s, failure)
    if config.learns:
        save_policy(folder, run.learner, config.settings_hash)
    write_run(folder, config, run.recorder, about | ended(run.resumed), content)
    if not failure:
        remove_checkpoints(folder)
    return content


class Training:
    """One run under way: agents, replay, exchange, counters and records."""

    def __init__(self, config: RunConfig, env: TrafficEnv, device: torch.device = CPU) -> None:
        self.config, self.env, self.device = config, env, device
        self.watch = Watch(device, self._place)
        self.recorder = Recorder()
        self.episode = self.env_steps = self.decisions = self.updates = self.resumed = 0
        self._clock, self._wall_before = time.perf_counter(), 0.0
        self._pace = Pace()
        seed, sac = config.seed, config.sac
        parameters = torch_generator(seed, Stream.PARAMETERS)
        size = (env.n_agents, env.observation_size, env.action_size)
        self.learner = Learner(sac, *size, env.action_limit, parameters, device=device)
        capacity = sac.replay_size if config.learns else 1
        self.replay = Replay(env.n_agents, capacity, env.observation_size, env.action_size, device)
        self.returns = NStepReturns(self.replay, sac.n_step, sac.gamma)
        self.acting = torch_generator(seed, Stream.ACTING, device)
        self.exploration = Exploration(sac, self.acting)
        self.updating = torch_generator(seed, Stream.UPDATES, device)
        self.exchange = Communication(config, self.learner, self.replay) if config.learns else None

    @property
    def wall_s(self) -> float:
        """Seconds of wall time so far, earlier attempts that were resumed included."""
        return self._wall_before + time.perf_counter() - self._clock

    @property
    def ledger(self) -> Ledger:
        """Bytes sent so far."""
        return self.exchange.channel.ledger if self.exchange else Ledger(self.env.n_agents)

    @property
    def parameters(self) -> int:
        """Length of what one agent shares."""
        return self.exchange.parameters if self.exchange else 0

    def learn(self, folder: Path) -> str | None:
        """Train to the last episode; returns what diverged, None if nothing did."""
        config, total = self.config, self.config.training.episodes
        with Progress(config.run_id, total, self.episode) as progress:
            if self.resumed:
                progress.line(f"goes on after episode {self.episode}")
            while self.episode < total:
                clock = time.perf_counter()
                try:
                    row = self.train_episode()
                    row["wall_s"] = time.perf_counter() - clock
                    self.recorder.add("episodes", row)
                    if self.episode % config.evaluation.every == 0 or self.episode == total:
                        self.evaluate()
                except Diverged as failure:
                    progress.line(f"FAILED: {failure}")
                    return str(failure)
                if self.episode < total and self._pace.due:
                    with self._pace.measured():
                        self.save(folder)
                progress.episode(row["return"], row["bytes_sent"])
        return None

    def train_episode(self) -> dict[str, Any]:
        """Drive one episode, learning and communicating; returns its row of `episodes`."""
        self.episode += 1
        env, sac, losses = self.env, self.config.sac, list[Losses]()
        first = torch.from_numpy(env.reset(training_seed(self.config.seed, self.episode)))
        states = first.to(self.device)
        self.exploration.begin()
        ended = False
        while not ended:
            actions, log_density = self.exploration.act(self.learner, states, self.decisions)
            step = env.step(self.watch.to_host(actions * env.action_limit).numpy())
            next_states = torch.from_numpy(step.observation)
            rewards, terminated = torch.from_numpy(step.reward), torch.from_numpy(step.terminated)
            self.watch.require_finite({"reward": rewards, "observation": next_states})
            rewards = (rewards + sac.reward_shift) * sac.reward_scale
            next_states, rewards, terminated = moved_together(
                self.device, next_states, rewards, terminated
            )
            self.returns.add(states, actions, log_density, rewards, next_states, terminated)
            states, ended = next_states, step.over
            if ended:
                self.returns.flush()

            self.decisions += 1
            if len(self.replay) >= sac.learning_starts and self.decisions % sac.update_every == 0:
                losses.append(self.update())
                if self.exchange is not None and self.exchange.due(self.updates):
                    self.communicate(self.exchange)
        self.watch.look()
        return self.episode_row(losses)

    def update(self) -> Losses:
        """One SAC update of all agents; raises Diverged."""
        batch = self.replay.sample(self.config.sac.batch_size, self.updating)
        shape = (2, *batch.unit_actions.shape)
        noise = torch.randn(shape, generator=self.updating, device=self.device)
        losses = self.learner.update(batch, noise)
        self.updates += 1
        named = {
            "critic loss": losses.critic,
            "actor loss": losses.actor,
            "entropy": losses.entropy,
        }
        self.watch.updated(named | self._parameters())
        return losses

    def _place(self) -> str:
        steps = self.env_steps + self.env.stats().steps
        return f"at update {self.updates}, episode {self.episode}, step {steps}"

    def _parameters(self) -> dict[str, Tensor]:
        learner = self.learner
        return {
            "actor parameter": learner.theta.detach(),
            "critic parameter": learner.critics.detach(),
            "temperature": learner.alpha.detach(),
        }

    def communicate(self, exchange: Communication) -> None:
        """One communication round and its records."""
        self.watch.look()
        row, trace = exchange.hold_round(self.env.positions())
        steps = self.env_steps + self.env.stats().steps
        now = {"episode": self.episode, "env_steps": steps, "updates": self.updates}
        self.recorder.add("rounds", row | now)
        self.recorder.add("zeta", *(judged | {"env_steps": steps} for judged in trace))
        self.watch.require_finite(self._parameters())

    def episode_row(self, losses: list[Losses]) -> dict[str, Any]:
        """The row of `episodes` of the episode that just ended, without its wall time."""
        stats = self.env.stats()
        self.env_steps += stats.steps
        means = [float(torch.stack(values).mean()) for values in zip(*losses, strict=True)]
        critic_loss, actor_loss, entropy = means or [float("nan")] * 3
        return {
            "episode": self.episode,
            "env_steps": self.env_steps,
            "updates": self.updates,
            "return": stats.episode_return,
            "mean_speed": stats.mean_speed,
            "collisions": stats.collisions,
            "teleports": stats.teleports,
            "steps": stats.steps,
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "entropy": entropy,
            "alpha": float(self.learner.alpha.mean()),
            "bytes_sent": self.ledger.bytes_sent,
        }

    def evaluate(self) -> None:
        """Measure the policies on held-out seeds, with mean and with sampled actions."""
        theta = self.learner.theta.detach().cpu()  # evaluation acts on the host
        modes = ("deterministic", "stochastic")
        drivers = {mode: policy_driver(self.learner.policy, theta, mode) for mode in modes}
        seeds = held_out_seeds(self.config.seed, self.config.evaluation.episodes)
        now = {
            "episode": self.episode,
            "env_steps": self.env_steps,
            "bytes_sent": self.ledger.bytes_sent,
        }
        rows = evaluate(self.env, drivers, seeds)
        self.recorder.add("evaluations", *(row | now for row in rows))

    def measure_control(self) -> None:
        """A control does not learn: one evaluation, its only mode called deterministic."""
        drivers = {"deterministic": controller_driver(self.config.method)}
        seeds = held_out_seeds(self.config.seed, self.config.evaluation.control_episodes)
        now = {"episode": 0, "env_steps": 0, "bytes_sent": 0}
        rows = evaluate(self.env, drivers, seeds)
        self.recorder.add("evaluations", *(row | now for row in rows))

    def save(self, folder: Path) -> None:
        """Write a checkpoint: all that the rest of the run depends on. Between episodes only."""
        assert self.exchange is not None
        state = {
            "device": self.device.type,
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "wall_s": self.wall_s,
            "learner": self.learner.state_dict(),
            "replay": self.replay.state_dict(),
            "exchange": self.exchange.state_dict(),
            "acting": self.acting.get_state(),
            "updating": self.updating.get_state(),
            "records": self.recorder.state_dict(),
        }
        save_checkpoint(folder, state, self.config.settings_hash)

    def resume(self, folder: Path) -> None:
        """Go on from the checkpoint in the folder, if there is one of these settings.

        Raises RunError for one that does not fit this version: a run restored in part must not go on.
        """
        found = load_checkpoint(folder, self.config.settings_hash)
        if found is None:
            return
        state = found.state
        if (written := state.get("device", "cpu")) != self.device.type:
            raise RunError(
                f"{folder}: its checkpoint was written on {shown(written)}, not on "
                f"{self.device.type!r}, whose noise is another: go on with --device "
                f"{one_line(written)}, or remove the folder to begin anew"
            )
        try:
            self._restore(state)
        except ConfigError:
            raise
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise RunError(
                f"{folder}: its checkpoint does not fit this version of rsm ({type(error).__name__}); "
                "remove the folder to begin anew, or go on with the version that wrote it"
            ) from None
        prefer(folder, found)

    def _restore(self, state: dict[str, Any]) -> None:
        assert self.exchange is not None
        for name in COUNTERS:
            setattr(self, name, int(state["counters"][name]))
        self._wall_before = state["wall_s"]
        self.learner.load_state_dict(state["learner"])
        self.replay.load_state_dict(state["replay"])
        self.exchange.load_state_dict(state["exchange"])
        self.acting.set_state(state["acting"])
        self.updating.set_state(state["updating"])
        self.recorder.load_state_dict(state["records"])
        self.resumed += 1
