"""Judging by peers: neighbours that sent no segment judge a referential policy by their critics.

A receiver asks with states of its own and, per state, one action of π and one of π̃ by common noise. A juror
answers Q(s, ã) − Q(s, a) by its own min(Q₁, Q₂). With the receiver's entropies this estimates A⁺ of eq. (3)
under the juror's critic. The median over jurors decides, so one of three may lie
(docs/concepts/algorithm.md, *Who judges*).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rsm.config.exchanging import Mixing
from rsm.mixing.advantage import QFunction
from rsm.mixing.fisher import form_of_tangent
from rsm.mixing.rules import Evidence, Moved, Verdict, verdict
from rsm.sac.policy import SquashedGaussian


class Question(NamedTuple):
    """What R receivers ask about one referential policy each, and what they do not send."""

    observations: Tensor  # [R, B, O]
    actions: Tensor  # [R, B, A], unit actions of π
    tilde_actions: Tensor  # [R, B, A], of π̃ by the same noise
    entropy_gain: Tensor  # [R, B], α (log π(a|s) − log π̃(ã|s)); not sent
    form: Tensor  # [R], q of eq. (4); not sent

    def packed(self) -> Tensor:
        """The transmitted numbers, `[R, B (O + 2A)]`."""
        parts = (self.observations, self.actions, self.tilde_actions)
        return torch.cat([part.flatten(1) for part in parts], dim=1)


@torch.no_grad()
def question(
    policy: SquashedGaussian, theta: Tensor, theta_tilde: Tensor, alpha: Tensor, evidence: Evidence
) -> Question:
    """What receivers with policies `theta: [R, d]` ask of `theta_tilde: [R, d]`; alpha `[R]`."""
    states, noise = evidence.observations, evidence.noise
    output, tangent = policy.output_and_tangent(theta, theta_tilde - theta, states)
    actions, log_pi = policy.squash(output, noise)
    tilde_actions, log_tilde = policy.squash(policy.output(theta_tilde, states), noise)
    gain = alpha.unsqueeze(1) * (log_pi - log_tilde)
    form = form_of_tangent(policy, output, tangent)
    return Question(states, actions, tilde_actions, gain, form)


@torch.no_grad()
def answer(q_function: QFunction, packed: Tensor, states: int, sizes: tuple[int, int]) -> Tensor:
    """Q(s, ã) − Q(s, a) of J questions `packed: [J, B (O + 2A)]` of `states` B, `[J, B]`.

    `sizes` are O and A; `q_function` is that of the J jurors, one for each question.
    """
    observation, action = sizes
    widths = (observation, action, action)
    parts = packed.split([states * width for width in widths], dim=1)
    observations, actions, tilde_actions = (
        part.unflatten(1, (states, width)) for part, width in zip(parts, widths, strict=True)
    )
    both = torch.cat((tilde_actions, actions), dim=1)
    tilde, own = q_function(observations.repeat(1, 2, 1), both).chunk(2, dim=1)
    return tilde - own


@torch.no_grad()
def jury_verdict(
    settings: Mixing, gamma: float, answers: Tensor, asked: Question, coin: Tensor | None = None
) -> Verdict:
    """By the median over jurors of `answers: [m, R, B]`, NaN where one gave none.

    An even number of jurors has the mean of the two in the middle. Without any answer A⁺ is NaN: rejected.
    """
    per_state = answers.nanquantile(0.5, dim=0) + asked.entropy_gain
    return verdict(settings, gamma, per_state, asked.form, _unknown, coin)


def _unknown(zeta: float) -> Moved:
    raise ValueError("jurors know nothing of policies between π and π̃")
