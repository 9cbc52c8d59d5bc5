"""Questions to jurors and their answers, as frames of a round."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsm.config.run import RunConfig
from rsm.exchange.frames import ANSWER, QUESTION
from rsm.exchange.replicas import Slot, Vectors
from rsm.mixing.jury import Question, answer, jury_verdict, question
from rsm.mixing.rules import RULES, Verdict
from rsm.sac.learner import Learner
from rsm.seeding import Stream, numpy_generator
from rsm.training.judging import Judgement, Opinion, OwnCritic, rows_of

JURY_TYPE = np.dtype(np.float32)  # of transmitted numbers, whatever type the learner computes in


class Peers:
    """Neighbours that sent no segment of a replica judge it by their critics.

    See *Who judges* in docs/concepts/algorithm.md. An agent with a single neighbour has no juror left and
    judges by its own critic. Where agents have streams of their own, so have their choices of jurors.
    """

    def __init__(
        self,
        config: RunConfig,
        learner: Learner,
        own: OwnCritic,
        liars: Collection[int],
        jurors: np.random.Generator | None = None,
    ) -> None:
        """`own` has the states of every receiver; `liars` are the agents that answer −Q.

        `jurors` draws whom to ask, in place of the streams of the run.
        """
        self._settings, self._learner = config.mixing, learner
        self.own, self._liars = own, liars
        nodes = range(learner.agents) if own.each_draws_alone else [None]
        of_run = (numpy_generator(config.seed, Stream.JURORS, node) for node in nodes)
        self._draws = [jurors] if jurors is not None else list(of_run)

    def opinion(self, case: Judgement, replica: int) -> Opinion:
        """Ask, hear and conclude at one instant; `replica` numbers the question within the round."""
        receivers = case.came.receivers
        jurors = [
            self.jurors(agent, sources[0] if sources else [], case.neighbours)
            for agent, sources in zip(receivers, case.came.sources, strict=True)
        ]
        asked = self.question(case)
        heard = self._hear(case, asked, jurors, replica)
        verdict = self.verdict(receivers, asked, [list(said.values()) for said in heard])
        alone = [row for row, agent in enumerate(receivers) if case.neighbours[agent].sum() == 1]
        if alone:
            own = self.own.opinion(case, replica).verdict
            judges = torch.zeros(len(receivers), dtype=torch.bool, device=case.theta.device)
            judges[alone] = True
            pairs = zip(own, verdict, strict=True)
            verdict = Verdict(*(torch.where(judges, mine, theirs) for mine, theirs in pairs))
        return Opinion(verdict, [list(said) for said in heard])

    @property
    def states(self) -> int:
        """B, states of a question."""
        return self._settings.judged_states

    @property
    def question_length(self) -> int:
        """Numbers of a question as it travels."""
        policy = self._learner.policy
        return self.states * (policy.observation_size + 2 * policy.action_size)

    def jurors(self, agent: int, sources: list[int], neighbours: NDArray[np.bool_]) -> list[int]:
        """Up to m neighbours of a receiver that sent no segment of this replica, drawn uniformly."""
        if not sources:
            return []
        others = [
            peer for peer in np.flatnonzero(neighbours[agent]).tolist() if peer not in sources
        ]
        if not others:
            return []
        amount = min(self._settings.jurors, len(others))
        draw = self._draws[agent if len(self._draws) > 1 else 0]
        return sorted(draw.choice(others, amount, replace=False).tolist())

    def question(self, case: Judgement) -> Question:
        """What each receiver asks its jurors, on states drawn anew."""
        receivers = case.came.receivers
        evidence = self.own.evidence(receivers, 0, 1)
        alpha = rows_of(receivers, self._learner.alpha.detach())
        return question(self._learner.policy, case.theta, case.theta_tilde, alpha, evidence)

    def said(self, jurors: Sequence[int], questions: Sequence[Vectors]) -> list[Vectors]:
        """What jurors answer by the critics that they have now, each to one question as it travelled."""
        learner = self._learner
        critics = learner.critics.detach()[list(jurors)]
        packed = torch.from_numpy(np.stack(questions)).to(critics)
        answers = answer(
            lambda observations, actions: learner.critic.min_q(critics, observations, actions),
            packed,
            self.states,
            (learner.policy.observation_size, learner.policy.action_size),
        )
        values = answers.cpu().numpy().astype(JURY_TYPE, copy=False)
        return [
            -told if juror in self._liars else told
            for juror, told in zip(jurors, values, strict=True)
        ]

    def verdict(
        self, receivers: list[int], asked: Question, heard: Sequence[Sequence[Vectors]]
    ) -> Verdict:
        """By the answers `[B]` that each receiver heard, none of them where nobody answered."""
        most = max((len(answers) for answers in heard), default=0)
        shape = (max(most, 1), *asked.entropy_gain.shape)
        values = np.full(shape, np.nan, dtype=JURY_TYPE)
        for row, answers in enumerate(heard):
            for place, answered in enumerate(answers):
                values[place, row] = answered
        coin = self.own.coin(receivers) if RULES[self._settings.rule].needs_coin else None
        answers_of_all = torch.from_numpy(values).to(asked.entropy_gain)
        gamma = self._learner.settings.gamma
        return jury_verdict(self._settings, gamma, answers_of_all, asked, coin)

    def _hear(
        self, case: Judgement, asked: Question, jurors: list[list[int]], replica: int
    ) -> list[dict[int, Vectors]]:
        """By receiver, the answers `[B]` that came, by juror in order."""
        receivers, post = case.came.receivers, case.post
        packed = packed_for_travel(asked)
        for row, chosen in enumerate(jurors):
            for juror in chosen:
                post.send(receivers[row], juror, packed[row], (replica, 0, 1), QUESTION)
        self._answer(case, sorted({juror for chosen in jurors for juror in chosen}))

        heard: list[dict[int, Vectors]] = []
        for row, chosen in enumerate(jurors):
            expected = {Slot(juror, replica, 0, 1): self.states for juror in chosen}
            came = post.receive(receivers[row], ANSWER, expected.get, JURY_TYPE)
            heard.append({slot.sender: answered for slot, answered in came.items()})
        return heard

    def _answer(self, case: Judgement, jurors: list[int]) -> None:
        """Every juror reads what it is asked by its neighbours, and answers by its own critics."""
        post = case.post

        def asks(juror: int, slot: Slot) -> int | None:
            agents = len(case.neighbours)
            reachable = slot.sender < agents and bool(case.neighbours[slot.sender, juror])
            return self.question_length if reachable else None

        questions = [
            (juror, slot, values)
            for juror in jurors
            for slot, values in post.receive(
                juror, QUESTION, partial(asks, juror), JURY_TYPE
            ).items()
        ]
        if not questions:
            return
        said = self.said([juror for juror, _, _ in questions], [values for *_, values in questions])
        for (juror, slot, _), told in zip(questions, said, strict=True):
            post.send(juror, slot.sender, told, slot[1:], ANSWER)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"jurors": [draw.bit_generator.state for draw in self._draws]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for draw, drawn in zip(self._draws, state["jurors"], strict=True):
            draw.bit_generator.state = drawn


def packed_for_travel(asked: Question) -> Vectors:
    """Questions as they travel, float32 `[R, B (O + 2A)]`."""
    return asked.packed().cpu().numpy().astype(JURY_TYPE, copy=False)
