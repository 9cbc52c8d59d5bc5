"""The training loop: act, store, update, communicate, evaluate.

`Training.learn` and `Training.train_episode` are the algorithm (docs/concepts/algorithm.md), top to bottom.
A round of communication is rsm.training.communication, an update rsm.sac.learner.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsm.config.catalogue import scenario_traits
from rsm.config.run import RunConfig
from rsm.exchange.ledger import Ledger
from rsm.runs.checkpoint import Pace, save_checkpoint
from rsm.runs.live import Live
from rsm.runs.machine import Usage, usage
from rsm.runs.recorder import Recorder
from rsm.runs.schema import GATE, optional_tables
from rsm.sac.device import CPU
from rsm.sac.exploration import Exploration
from rsm.sac.learner import Losses
from rsm.sac.n_step import NStepReturns
from rsm.sac.replay import Replay
from rsm.seeding import Stream, held_out_seeds, torch_generator, training_seed
from rsm.traffic.environment import TrafficEnv
from rsm.training.communication import Communication, Held
from rsm.training.drivers import learner_drivers
from rsm.training.driving import Outcome, drive, first_states
from rsm.training.evaluation import evaluate, honest_return
from rsm.training.finite import Watch
from rsm.training.gate import gate_rows
from rsm.training.initial import initial_learner
from rsm.training.progress import Progress
from rsm.training.records import driven, learnt, record_evaluation
from rsm.training.rhythm import Rhythm
from rsm.training.roster import Roster, agents_of

COUNTERS = ("episode", "env_steps", "decisions", "updates", "resumed")
PARTS = ("learner", "replay", "exchange", "roster", "recorder")  # with states of their own
STREAMS = ("acting", "updating")  # random generators


class Training:
    """One run under way: agents, replay, exchange, counters and what is recorded."""

    def __init__(self, config: RunConfig, env: TrafficEnv, device: torch.device = CPU) -> None:
        self.config, self.env, self.device = config, env, device
        self.watch = Watch(device, self._place)
        self.recorder = Recorder()
        self.agents = agents_of(config, env.scenario.loop_kinds)
        for table in optional_tables(config):  # a run that fails early leaves them, too
            self.recorder.add(table)
        self.episode = self.env_steps = self.decisions = self.updates = self.resumed = 0
        self._clock, self._wall_before = time.perf_counter(), 0.0
        self._cpu, self._used_before = usage().cpu_s, Usage(0.0, 0.0)
        self._pace = Pace()
        seed, sac = config.seed, config.sac
        self.learner = initial_learner(config, env, device)
        capacity = sac.replay_size if config.learns else 1
        self.replay = Replay(env.n_agents, capacity, env.observation_size, env.action_size, device)
        self.returns = NStepReturns(self.replay, sac.n_step, sac.gamma)
        self.acting = torch_generator(seed, Stream.ACTING, device)
        self.exploration = Exploration(sac, self.acting)
        self.updating = torch_generator(seed, Stream.UPDATES, device)
        self.roster = Roster(config, env.n_agents)
        self.exchange = Communication(config, self.learner, self.replay) if config.learns else None
        if self.exchange is not None:
            parts = (self.exchange, self.roster, env.positions, lambda: env.live)
            self.rhythm = Rhythm(*parts, lambda: self.time)

    def learn(self, folder: Path) -> None:
        """Train to the last episode, with checkpoints in the run folder; raises Diverged.

        The evaluation after the last episode, where none is due, comes after the last checkpoint: a run that is
        continued from there must not contain it.
        """
        episodes, every = self.config.training.episodes, self.config.evaluation.every
        live = Live(folder, self.config, self.episode)
        with Progress(self.config.run_id, episodes, self.episode) as progress:
            while self.episode < episodes:
                row = self.train_episode()
                if self.episode % every == 0:
                    self.measure_gate()
                    self.evaluate()
                last = self.episode == episodes
                if self.config.training.keep_checkpoint if last else self._pace.due:
                    self.save(folder)
                progress.episode(row["return"], row["bytes_sent"])
                live.episode(self.episode, row["return"], row["bytes_sent"], *self.judged)
                live.tables(self.recorder)
            if self.episode % every:
                self.evaluate()
        self.close_accounts()

    def train_episode(self) -> dict[str, Any]:
        """Drive one episode, learning and communicating; records its row of `episodes` and returns it."""
        self.episode += 1
        self.welcome_newcomers()
        start, losses, over = time.perf_counter(), list[Losses](), False
        seed = training_seed(self.config.seed, self.episode)
        states = first_states(self.env, seed, self.device)
        self.exploration.begin()
        if self.exchange is not None and scenario_traits(self.config.traffic.scenario).slots:
            self.exchange.part(list(range(self.env.n_agents)))
        while not over:
            actions, log_density = self.exploration.act(self.learner, states, self.decisions)
            step = drive(self.env, actions, self.config.sac, self.watch, self.device)
            self.store(states, actions, log_density, step)
            states, over = step.states, step.over
            if over:
                self.returns.flush()
            self.decisions += 1
            self.rhythm.listen()
            if updated := self.update_due:
                losses += self.update()
            self.communicate(updated)
        self.watch.look()
        return self._record_episode(losses, start)

    def store(self, states: Tensor, actions: Tensor, log_density: Tensor, step: Outcome) -> None:
        """Keep what every agent with a vehicle did; one that left has ended its last transition."""
        told = (states, actions, log_density, step.rewards, step.ends, step.terminated)
        if step.slots is None:
            self.returns.add(*told)
        else:
            self.returns.add(*told, step.slots.acted, step.slots.left)
            self.exploration.part(step.slots.left)
            if self.exchange is not None:
                self.exchange.part(np.flatnonzero(step.slots.left).tolist())

    def welcome_newcomers(self) -> None:
        """Newcomers of this episode begin with fresh parameters and an empty replay."""
        if self.episode == self.config.restarts.episode:
            draw = torch_generator(self.config.seed, Stream.RESTARTS)
            for agent in self.roster.newcomers:
                self.learner.begin_anew(agent, draw)
                self.replay.forget(agent)
                if self.exchange is not None:
                    self.exchange.forget(agent)

    @property
    def update_due(self) -> bool:
        """Every n-th decision has an update, once enough is stored."""
        sac = self.config.sac
        return len(self.replay) >= sac.learning_starts and self.decisions % sac.update_every == 0

    @property
    def time(self) -> float:
        """Simulated time of training so far, s; it runs on over episodes."""
        return self.steps * self.env.dt

    def update(self) -> list[Losses]:
        """One SAC update of all agents that have a vehicle; raises Diverged.

        No losses where all of them wait for a round under way.
        """
        batch = self.learner.draw(self.replay, self.updating)
        shape = (2, *batch.unit_actions.shape)
        noise = torch.randn(shape, generator=self.updating, device=self.device)
        self.updates += 1
        needed, live = self.config.sac.learning_starts, self.env.live
        agents = self.roster.updating(self.updates, self.replay.stored * live, needed)
        if agents == [] and self.exchange is not None and self.exchange.timed is not None:
            return []
        losses = self.learner.update(batch, noise, agents)
        named = {
            "critic loss": losses.critic,
            "actor loss": losses.actor,
            "entropy": losses.entropy,
        }
        self.watch.updated(named | self._parameters())
        if live.all():
            return [losses]
        made = np.isin(np.arange(self.env.n_agents), agents or [])  # an empty slot does not count
        return [Losses(*(loss[torch.from_numpy(made).to(loss.device)] for loss in losses))]

    def communicate(self, updated: bool) -> None:
        """Rounds that fall due; records their rows of `rounds`, and a row of `zeta` a judged replica."""
        occasion = self.updates if updated else None
        if self.rhythm.due(occasion):
            self.watch.look()
        for held in self.rhythm.rounds(occasion):
            self._record_round(held, self.steps)

    def close_accounts(self) -> None:
        """After the last checkpoint: a row of `rounds` for what was sent after the last one."""
        if self.exchange is not None:
            self._record_round(Held(self.exchange.last_row(), []), self.env_steps)

    def _record_round(self, held: Held, steps: int) -> None:
        now = {"episode": self.episode, "env_steps": steps, "updates": self.updates}
        if held.row is not None:
            self.recorder.add("rounds", held.row | now)
        self.recorder.add("zeta", *(judged | {"env_steps": steps} for judged in held.trace))
        if held.row is not None or held.trace:
            self.watch.require_finite(self._parameters())

    def measure_gate(self) -> None:
        """Record whether replicas of this moment are a gain, and what every judge says; where asked for."""
        if self.config.measures_gate:
            at_hand = (self.env, self.learner, self.replay)
            self.recorder.add(GATE, *gate_rows(self.config, *at_hand, self.episode))

    def evaluate(self) -> None:
        """Measure the policies on held-out seeds, with mean and with sampled actions; records the rows."""
        seeds = held_out_seeds(self.config.seed, self.config.evaluation.episodes)
        now = {
            "episode": self.episode,
            "env_steps": self.env_steps,
            "bytes_sent": self.ledger.bytes_sent,
        }
        found = evaluate(self.env, learner_drivers(self.learner), seeds, self.agents)
        record_evaluation(self.recorder, found, now)

    @property
    def steps(self) -> int:
        """Simulation steps driven in training so far, those of the episode under way included."""
        return self.env_steps + self.env.stats().steps

    @property
    def wall_s(self) -> float:
        """Seconds of wall time so far, earlier attempts that were resumed included."""
        return self._wall_before + time.perf_counter() - self._clock

    @property
    def used(self) -> Usage:
        """CPU time and peak memory so far, earlier attempts that were resumed included."""
        now = usage()
        return self._used_before.and_then(now._replace(cpu_s=now.cpu_s - self._cpu))

    @property
    def ledger(self) -> Ledger:
        """Bytes sent so far."""
        return self.exchange.channel.ledger if self.exchange else Ledger(self.env.n_agents)

    @property
    def judged(self) -> tuple[int, int]:
        """Replicas judged so far, and how many of them were accepted."""
        return self.recorder.total("rounds", "judged"), self.recorder.total("rounds", "accepted")

    @property
    def parameters(self) -> int:
        """Length of what one agent shares."""
        return self.exchange.parameters if self.exchange else 0

    def _place(self) -> str:
        return f"at update {self.updates}, episode {self.episode}, step {self.steps}"

    def _parameters(self) -> dict[str, Tensor]:
        return {
            "actor parameter": self.learner.theta.detach(),
            "critic parameter": self.learner.critics.detach(),
            "temperature": self.learner.alpha.detach(),
        }

    def _record_episode(self, losses: list[Losses], start: float) -> dict[str, Any]:
        """Record the row of `episodes` of the episode that just ended, begun at `start`."""
        stats = self.env.stats()
        self.env_steps += stats.steps
        row = {
            "episode": self.episode,
            "env_steps": self.env_steps,
            "updates": self.updates,
            "return": honest_return(self.env, self.agents),
            **driven(stats),
            **learnt(losses),
            "alpha": float(self.learner.alpha.mean()),
            "bytes_sent": self.ledger.bytes_sent,
            "updates_not_made": self.roster.not_made,
            "wall_s": time.perf_counter() - start,
        }
        self.recorder.add("episodes", row)
        return row

    def save(self, folder: Path) -> None:
        """Write a checkpoint. Between episodes only."""
        with self._pace.measured():
            save_checkpoint(folder, self.state_dict(), self.config.settings_hash)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on: the content of a checkpoint."""
        return {
            "device": self.device.type,
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "wall_s": self.wall_s,
            "used": self.used._asdict(),
            **{name: getattr(self, name).state_dict() for name in PARTS},
            **{name: getattr(self, name).get_state() for name in STREAMS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for name in COUNTERS:
            setattr(self, name, int(state["counters"][name]))
        self._wall_before = state["wall_s"]
        self._used_before = Usage(**state["used"]) if "used" in state else Usage(0.0, 0.0)
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in STREAMS:
            getattr(self, name).set_state(state[name])
        self.resumed += 1
