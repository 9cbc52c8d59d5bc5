"""Questions to jurors and their answers, as frames of a round."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsm.config.run import RunConfig
from rsm.exchange.frames import ANSWER, QUESTION
from rsm.exchange.replicas import Slot
from rsm.mixing.jury import Question, answer, jury_verdict, question
from rsm.mixing.rules import RULES, Verdict
from rsm.sac.learner import Learner
from rsm.seeding import Stream, numpy_generator
from rsm.training.judging import Judgement, Opinion, OwnCritic, rows_of

_FLOAT = np.dtype(np.float32)  # of transmitted numbers, whatever type the learner computes in


class Peers:
    """Neighbours that sent no segment of a replica judge it by their critics (docs/algorithm.md, *Who judges*).

    An agent with a single neighbour has no juror left and judges by its own critic.
    """

    def __init__(
        self, config: RunConfig, learner: Learner, own: OwnCritic, liars: Collection[int]
    ) -> None:
        """`own` has the states of every receiver; `liars` are the agents that answer −Q."""
        self._settings, self._learner = config.mixing, learner
        self._own, self._liars = own, liars
        self._draws = numpy_generator(config.seed, Stream.JURORS)

    def opinion(self, case: Judgement, replica: int) -> Opinion:
        """Ask, hear and conclude; `replica` numbers the question within the round."""
        receivers = case.came.receivers
        jurors = [self._jurors(case, row) for row in range(len(receivers))]
        evidence = self._own.evidence(receivers, 0, 1)
        alpha = rows_of(receivers, self._learner.alpha.detach())
        asked = question(self._learner.policy, case.theta, case.theta_tilde, alpha, evidence)
        answers, heard = self._hear(case, asked, jurors, replica)
        needs_coin = RULES[self._settings.rule].needs_coin
        coin = self._own.coin(receivers) if needs_coin else None
        gamma = self._learner.settings.gamma
        verdict = jury_verdict(self._settings, gamma, answers, asked, coin)
        alone = [row for row, agent in enumerate(receivers) if len(_peers(case, agent)) == 1]
        if alone:
            own = self._own.opinion(case, replica).verdict
            judges = torch.zeros(len(receivers), dtype=torch.bool, device=case.theta.device)
            judges[alone] = True
            pairs = zip(own, verdict, strict=True)
            verdict = Verdict(*(torch.where(judges, mine, theirs) for mine, theirs in pairs))
        return Opinion(verdict, heard)

    def _jurors(self, case: Judgement, row: int) -> list[int]:
        """Up to m neighbours of a receiver that sent no segment of this replica, drawn uniformly."""
        if not case.came.sources[row]:
            return []
        agent, [sources] = case.came.receivers[row], case.came.sources[row]
        others = [peer for peer in _peers(case, agent) if peer not in sources]
        amount = min(self._settings.jurors, len(others))
        return sorted(self._draws.choice(others, amount, replace=False).tolist()) if others else []

    def _hear(
        self, case: Judgement, asked: Question, jurors: list[list[int]], replica: int
    ) -> tuple[Tensor, list[list[int]]]:
        """Answers `[m, R, B]`, NaN where none came, and who gave them, by receiver."""
        receivers, post = case.came.receivers, case.post
        packed = asked.packed().cpu().numpy().astype(_FLOAT, copy=False)
        for row, chosen in enumerate(jurors):
            for juror in chosen:
                post.send(receivers[row], juror, packed[row], (replica, 0, 1), QUESTION)
        self._answer(
            case, sorted({juror for chosen in jurors for juror in chosen}), packed.shape[1]
        )

        states = asked.observations.shape[1]
        most = max((len(chosen) for chosen in jurors), default=0)
        values = np.full((max(most, 1), len(receivers), states), np.nan, dtype=_FLOAT)
        heard: list[list[int]] = []
        for row, chosen in enumerate(jurors):
            expected = {Slot(juror, replica, 0, 1): states for juror in chosen}
            came = post.receive(receivers[row], ANSWER, expected.get, _FLOAT)
            for place, answered in enumerate(came.values()):
                values[place, row] = answered
            heard.append([slot.sender for slot in came])
        return torch.from_numpy(values).to(asked.observations), heard

    def _answer(self, case: Judgement, jurors: list[int], length: int) -> None:
        """Every juror reads what it is asked by its neighbours, and answers by its own critics."""
        post, learner = case.post, self._learner

        def asks(juror: int, slot: Slot) -> int | None:
            agents = len(case.neighbours)
            reachable = slot.sender < agents and bool(case.neighbours[slot.sender, juror])
            return length if reachable else None

        questions = [
            (juror, slot, values)
            for juror in jurors
            for slot, values in post.receive(juror, QUESTION, partial(asks, juror), _FLOAT).items()
        ]
        if not questions:
            return
        critics = learner.critics.detach()[[juror for juror, _, _ in questions]]
        packed = torch.from_numpy(np.stack([values for _, _, values in questions])).to(critics)
        observation, action = learner.policy.observation_size, learner.policy.action_size
        states = length // (observation + 2 * action)
        answers = answer(
            lambda observations, actions: learner.critic.min_q(critics, observations, actions),
            packed,
            states,
            (observation, action),
        )
        said = answers.cpu().numpy().astype(_FLOAT, copy=False)
        for (juror, slot, _), values in zip(questions, said, strict=True):
            told = -values if juror in self._liars else values
            post.send(juror, slot.sender, told, slot[1:], ANSWER)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"jurors": self._draws.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._draws.bit_generator.state = state["jurors"]


def _peers(case: Judgement, agent: int) -> list[int]:
    peers: list[int] = np.flatnonzero(case.neighbours[agent]).tolist()
    return peers
