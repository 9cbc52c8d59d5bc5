"""Against a scalar transcription of the formulas of docs/concepts/published-code.md: loops, math, autograd."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from rsm.mixing.published_code import STATES, published_verdict
from rsm.mixing.rules import Evidence, Verdict
from rsm.sac.critic import TwinCritic
from rsm.sac.policy import SquashedGaussian

GAMMA, ZETA_MAX = 0.99, 0.8
VERSIONS = ("aug", "jul")


class Case(NamedTuple):
    """R receivers, what they judge and what they judge it with."""

    policy: SquashedGaussian
    critic: TwinCritic
    phi: Tensor  # [R, 2, c]
    alpha: Tensor
    theta: Tensor
    theta_tilde: Tensor
    evidence: Evidence

    def q(self, observations: Tensor, unit_actions: Tensor) -> Tensor:
        return self.critic.min_q(self.phi, observations, unit_actions)

    def verdict(self, version: str, **changes) -> Verdict:
        given = {"q_function": self.q, "gamma": GAMMA, "zeta_max": ZETA_MAX} | changes
        return published_verdict(
            self.policy,
            alpha=self.alpha,
            version=version,
            theta=self.theta,
            theta_tilde=self.theta_tilde,
            evidence=self.evidence,
            **given,
        )


def case(
    seed: int, actions: int = 1, receivers: int = 3, states: int = STATES, step: float = 0.1,
    log_std: float = 0.0, spread: float = 1.0,
) -> Case:  # fmt: skip
    """Random small networks in float64; θ̃ is `step` from θ, log σ is about `log_std`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    policy = SquashedGaussian(3, actions, (6, 5), scale=3.0)
    critic = TwinCritic(3, actions, (7,))
    theta = 0.4 * draw(receivers, policy.parameter_count)
    theta[:, -actions:] += log_std
    evidence = Evidence(
        draw(receivers, states, 3),
        torch.tanh(spread * draw(receivers, states, actions)),
        0.7 * draw(receivers, states) - 1,
        torch.full((receivers, states, actions), torch.nan, dtype=torch.float64),
    )
    return Case(
        policy,
        critic,
        0.5 * draw(receivers, 2, critic.parameter_count),
        torch.rand(receivers, generator=generator, dtype=torch.float64),
        theta,
        theta + step * draw(receivers, policy.parameter_count),
        evidence,
    )


class Plain(NamedTuple):
    """One receiver's numbers by the transcription."""

    advantage: float
    epsilon: float
    form: float
    constant: float
    root: float
    zeta: float
    outside: tuple[int, int]  # samples with log p below −20 and above 0


def plain(drawn: Case, receiver: int, version: str) -> Plain:
    """A⁺, ε, q₁, C and ζ of one receiver, sample by sample."""
    theta = drawn.theta[receiver].clone().requires_grad_()
    tilde = drawn.theta_tilde[receiver]
    direction = tilde - drawn.theta[receiver]
    alpha = float(drawn.alpha[receiver])
    observations, unit_actions, log_behaviour, _ = drawn.evidence
    values = drawn.q(observations, unit_actions)
    samples, total, below, above = [], 0.0, 0, 0

    def log_p(parameters: Tensor, sample: int) -> tuple[Tensor, float]:
        """log p before its clamp, and Σ log σ."""
        state = observations[receiver, sample]
        mean, log_std = drawn.policy.gaussian(parameters[None], state[None, None])
        density: Tensor = torch.zeros((), dtype=torch.float64)
        entropy = 0.0
        for k in range(drawn.policy.action_size):
            action = drawn.policy.scale * float(unit_actions[receiver, sample, k])
            m, s = mean[0, 0, k], log_std[0, 0, k].exp()
            density = (
                density - (action - m) ** 2 / (2 * s**2) - torch.log(s * math.sqrt(2 * math.pi))
            )
            entropy += float(log_std[0, 0, k].detach())
        return density, entropy

    for sample in range(observations.shape[1]):
        ours, entropy = log_p(theta, sample)
        theirs, entropy_tilde = log_p(tilde, sample)
        below += int(ours < -20)
        above += int(ours > 0)
        clamped = ours.clamp(-20, 0)
        (gradient,) = torch.autograd.grad(clamped, theta)
        total += float(gradient @ direction)
        p = math.exp(float(clamped.detach()))
        p_tilde = math.exp(min(0.0, max(-20.0, float(theirs))))
        weight = (p_tilde - p) / (math.exp(float(log_behaviour[receiver, sample])) + 1e-5)
        if version == "jul":
            weight = math.tanh(weight)
        samples.append(weight * float(values[receiver, sample]) + alpha * (entropy_tilde - entropy))
    advantage, epsilon = sum(samples) / len(samples), max(samples)
    form = (total / len(samples)) ** 2
    constant = 2 * GAMMA * epsilon / (1 - GAMMA) ** 2
    root = zeta = 0.0
    if advantage > 0:
        if version == "jul":
            root = math.sqrt(2 * math.sqrt(advantage) / constant * form)
        else:
            root = math.sqrt(2 * advantage / (constant * form)) if form else math.inf
        zeta = min(max(root, 0.0), ZETA_MAX)
    return Plain(advantage, epsilon, form, constant, root, zeta, (below, above))


def compare(drawn: Case, version: str) -> list[Plain]:
    verdict = drawn.verdict(version)
    expected = [plain(drawn, receiver, version) for receiver in range(len(drawn.alpha))]
    for receiver, numbers in enumerate(expected):
        close = {
            "advantage": numbers.advantage, "epsilon": numbers.epsilon, "constant": numbers.constant,
            "quadratic_form": numbers.form, "zeta": numbers.zeta,
        }  # fmt: skip
        for name, value in close.items():
            found = float(getattr(verdict, name)[receiver])
            assert found == pytest.approx(value, rel=1e-5, abs=1e-12), name
        if numbers.advantage > 0:
            assert float(verdict.bound[receiver]) == pytest.approx(numbers.root, rel=1e-5)
        else:
            assert verdict.bound[receiver].isnan()
        assert bool(verdict.accepted[receiver]) == (numbers.zeta > 0)
    assert not verdict.identical.any()
    return expected


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("actions", [1, 2])
def test_verdict_is_that_of_the_scalar_transcription(version, actions):
    seen: list[Plain] = []
    for seed in range(4):
        # From policies at one another's side to far ones, so that ζ lies on both sides of its cap.
        for step in (1e-4, 0.1, 1.0):
            seen += compare(case(seed, actions, step=step), version)
    assert sum(one.advantage > 0 for one in seen) > 5 < sum(one.advantage <= 0 for one in seen)
    assert any(0 < one.zeta < ZETA_MAX for one in seen)
    assert any(one.advantage < 0 for one in seen)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_log_density_below_and_above_its_range_is_clamped_and_has_no_derivative(version):
    low = high = 0
    for seed in range(4):
        for one in compare(case(seed, log_std=-2.0, spread=0.5), version):
            low, high = low + one.outside[0], high + one.outside[1]
    assert low > 20 and high > 5


def test_clamp_acts_on_the_sum_over_action_dimensions():
    """Two dimensions, one of log p > 0 and one far below: only their sum is compared with 0."""
    drawn = case(1, actions=2)
    wide = drawn._replace(theta=drawn.theta.clone(), theta_tilde=drawn.theta_tilde.clone())
    for parameters in (wide.theta, wide.theta_tilde):
        parameters[:, -2] -= 3.0  # log σ of the first action
        parameters[:, -1] += 4.0
    actions = wide.evidence.unit_actions.clone()
    mean, _ = wide.policy.gaussian(wide.theta, wide.evidence.observations)
    actions[..., 0] = (mean[..., 0] / wide.policy.scale).clamp(-0.999, 0.999)
    wide = wide._replace(evidence=wide.evidence._replace(unit_actions=actions))
    mean, log_std = wide.policy.gaussian(wide.theta, wide.evidence.observations)
    densities = torch.distributions.Normal(mean, log_std.exp()).log_prob(3 * actions)
    within = (densities.sum(dim=2) > -20) & (densities.sum(dim=2) < 0)
    assert (within & (densities[..., 0] > 0)).sum() > 20
    compare(wide, "aug")


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bias", [5.0, -40.0])
def test_spread_that_the_policy_clamps_has_no_derivative(version, bias):
    """log σ beyond [−20, 2]: autograd of the transcription stops at the policy's clamp too."""
    for seed in range(3):
        compare(case(seed, log_std=bias), version)


@pytest.mark.parametrize("version", VERSIONS)
def test_replica_without_a_positive_advantage_is_rejected(version):
    drawn = case(0)
    zero = torch.zeros_like(drawn.evidence.log_behaviour)
    signs = []
    for sign in (1, -1):
        # Q = 0: A⁺ is α ΔH, whose sign is that of what the bias of log σ̃ adds.
        tilde = drawn.theta.clone()
        tilde[:, -1] += 0.1 * sign
        verdict = drawn._replace(theta_tilde=tilde).verdict(version, q_function=lambda *_: zero)
        assert verdict.accepted.all() == (sign > 0) and verdict.accepted.any() == (sign > 0)
        assert (verdict.zeta > 0).all() == (sign > 0)
        assert verdict.bound.isnan().all() == (sign < 0)
        signs.append(float(verdict.constant.sign().mean()))
        assert not verdict.identical.any()
    # Signed samples: where all are negative so are ε and C, and their root would be a number.
    assert signs == [1, -1]


def unmoved_density(version: str) -> tuple[Case, Verdict]:
    """Every log p below −20: q₁ = 0 although θ̃ ≠ θ; A⁺ > 0 by the entropy."""
    drawn = case(3)
    far = drawn.theta.clone()
    far[:, -2] += 1e4  # bias of the mean
    tilde = far.clone()
    tilde[:, -1] += 0.1
    moved = drawn._replace(theta=far, theta_tilde=tilde)
    return moved, moved.verdict(version)


def test_form_of_zero_is_mixed_as_far_as_allowed_by_aug_and_not_at_all_by_jul():
    _, verdict = unmoved_density("aug")
    assert (verdict.quadratic_form == 0).all() and (verdict.advantage > 0).all()
    assert (verdict.zeta == ZETA_MAX).all() and verdict.bound.isinf().all()
    assert verdict.accepted.all() and not verdict.identical.any()
    _, verdict = unmoved_density("jul")
    assert (verdict.advantage > 0).all() and (verdict.bound == 0).all()
    assert (verdict.zeta == 0).all()
    assert not verdict.accepted.any() and not verdict.identical.any()


@pytest.mark.parametrize("version", VERSIONS)
def test_identical_policy_is_neither_accepted_nor_mixed(version):
    drawn = case(2)
    verdict = drawn._replace(theta_tilde=drawn.theta.clone()).verdict(version)
    assert verdict.identical.all() and not verdict.accepted.any() and (verdict.zeta == 0).all()
    almost = drawn.theta.clone()
    almost[0, 0] += 1e-9
    verdict = drawn._replace(theta_tilde=almost).verdict(version)
    assert verdict.identical.tolist() == [False, True, True]


@pytest.mark.parametrize("version", VERSIONS)
def test_zeta_is_cut_at_its_cap_and_the_bound_is_not(version):
    for seed in range(8):
        drawn = case(seed, step=1.0)
        free, cut = drawn.verdict(version, zeta_max=1.0), drawn.verdict(version, zeta_max=1e-6)
        on = free.advantage > 0
        assert (cut.zeta[on] <= 1e-6).all()
        torch.testing.assert_close(free.bound, cut.bound, equal_nan=True)
        torch.testing.assert_close(cut.zeta[on], free.bound[on].clamp(0, 1e-6))


def test_jul_multiplies_by_the_form_and_aug_divides_by_it():
    """Farther policies: `aug` steps less, `jul` steps more, for the same direction and the same A⁺."""
    drawn, near, far = case(0), {}, {}
    zero = torch.zeros_like(drawn.evidence.log_behaviour)
    for version in VERSIONS:
        for reach, into in ((0.01, near), (0.02, far)):
            tilde = drawn.theta.clone()
            tilde[:, -1] += reach
            verdict = drawn._replace(theta_tilde=tilde, alpha=drawn.alpha / reach).verdict(
                version, q_function=lambda *_: zero
            )
            into[version] = verdict.bound
    # A⁺ = ε is the same for both reaches, and q₁ four times as large.
    torch.testing.assert_close(far["aug"] / near["aug"], torch.full_like(zero[:, 0], 0.5))
    torch.testing.assert_close(far["jul"] / near["jul"], torch.full_like(zero[:, 0], 2.0))


@pytest.mark.parametrize("version", VERSIONS)
def test_policy_that_cannot_be_judged_is_rejected(version):
    drawn = case(5)
    broken, critic = drawn.theta_tilde.clone(), drawn.phi.clone()
    broken[0, 0] = torch.nan
    critic[1] = torch.nan
    verdict = drawn._replace(theta_tilde=broken, phi=critic).verdict(version)
    assert not verdict.accepted[:2].any() and (verdict.zeta[:2] == 0).all()
    assert verdict.advantage[:2].isnan().all() and not verdict.identical.any()


@pytest.mark.parametrize("version", VERSIONS)
def test_receivers_are_judged_each_for_itself(version):
    drawn = case(7)
    whole = drawn.verdict(version)
    for receiver in range(3):
        one = slice(receiver, receiver + 1)
        alone = Case(
            drawn.policy, drawn.critic, drawn.phi[one], drawn.alpha[one], drawn.theta[one],
            drawn.theta_tilde[one], Evidence(*(part[one] for part in drawn.evidence)),
        ).verdict(version)  # fmt: skip
        for ours, theirs in zip(alone, whole, strict=True):
            torch.testing.assert_close(ours, theirs[one], equal_nan=True)
