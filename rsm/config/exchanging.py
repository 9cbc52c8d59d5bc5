"""Settings of what happens between agents: exchange, mixing, and agents that are slow, new or malicious.

Source of the defaults: arXiv:2312.10123, the published experiment, unless a field says otherwise.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rsm.config.base import Fraction, Positive, Settings
from rsm.config.catalogue import ATTACKS, RULES
from rsm.config.names import EncodingName, TopologyName
from rsm.errors import KeyedError

STATES = 256  # on which a replica is judged, unless a study says otherwise
STATES_OF_A_QUESTION = 128  # the same of a question to peers


class Communication(Settings):
    """Topology, content and period of the exchange."""

    topology: TopologyName = "radius:90"
    share: Literal["actor", "actor+critic"] = Field(
        "actor", description="Parameters that agents exchange, the same for every method."
    )
    period: int = Field(8, ge=1, description="U: updates between two communication rounds.")
    segments: int = Field(4, ge=1, le=65_535, description="P: segments of a parameter vector.")
    replicas: int = Field(3, ge=1, le=255, description="K: referential policies per round.")
    encoding: EncodingName = "float32"
    loss_rate: Fraction = Field(0.0, description="Probability that the channel loses a frame.")
    barrier: Literal["slowest", "none"] = Field(
        "slowest",
        description="When a round begins. slowest: once the slowest agent has made U updates, while the "
        "others wait. none: at every U-th update of the fastest agent.",
    )
    mode: Literal["synchronous", "asynchronous"] = Field(
        "synchronous",
        description="synchronous: all agents exchange in one round and wait for each other. "
        "asynchronous: each agent begins a round of its own after U of its updates, and none "
        "waits (not published).",
    )
    phase: int = Field(
        0,
        ge=0,
        le=1000,
        description="Asynchronous: agent i begins its first round phase · i modulo U updates later.",
    )
    delay: Literal["none", "constant", "exponential", "lognormal"] = Field(
        "none",
        description="Distribution of the delay of every frame; the logarithm of `lognormal` has standard "
        "deviation 1 (not published).",
    )
    delay_mean: float = Field(1.0, ge=0, le=3600, description="Mean of the delays, s.")
    bandwidth: Positive | None = Field(
        None,
        description="Bandwidth of each node, the server included, in bytes per second. Its links share "
        "it in order of sending. null: unlimited (not published).",
    )
    timeout: Positive = Field(
        5.0,
        description="Timeout of a round, s; the round then uses what has arrived. It has no effect where "
        "frames take no time.",
    )
    byzantine: int = Field(
        0,
        ge=0,
        le=127,
        description="f: number of attackers that `trimmed-mean`, `median`, `krum` and `multi-krum` are "
        "built to tolerate among their neighbours.",
    )
    clip: Positive = Field(
        1.0,
        description="Clipping radius of `clipped-gossip`, in multiples of the median distance to "
        "the neighbours.",
    )

    @property
    def timed(self) -> bool:
        """Whether rounds take simulated time: frames do, or agents do not exchange in step."""
        return self.mode == "asynchronous" or self.delayed

    @property
    def delayed(self) -> bool:
        """Whether frames take simulated time."""
        return bool(self.delay != "none" and self.delay_mean) or self.bandwidth is not None

    @model_validator(mode="after")
    def _time_goes_with_the_rest(self) -> Communication:
        if self.phase and self.mode == "synchronous":
            raise KeyedError(
                "communication.phase",
                self.phase,
                "synchronous rounds begin together; allowed: 0, or communication.mode asynchronous",
            )
        if self.barrier == "none" and self.timed:
            what = "asynchronous rounds have no barrier to leave out"
            if self.mode == "synchronous":
                what = "a synchronous round that takes time needs agents that wait for it"
            raise KeyedError("communication.barrier", "none", f"{what}; allowed: slowest")
        if self.encoding.startswith("topk") and self.timed:
            raise KeyedError(
                "communication.encoding",
                self.encoding,
                "top-k needs a sender to know what its receiver holds, which it does not where rounds take "
                "time; allowed: float32, float16, int8, or synchronous rounds with no delay or bandwidth",
            )
        return self


class Mixing(Settings):
    """How a referential policy is judged and how far θ moves toward it (docs/concepts/algorithm.md)."""

    rule: Literal[RULES] = Field(  # type: ignore[valid-type]
        "theorem2", description="How ζ is found."
    )
    published_code: Literal["aug", "jul"] | None = Field(
        None,
        description="Judge and mix as in one of the two public versions of the code; null: the method as "
        "written (docs/concepts/published-code.md).",
    )
    advantage: Literal["direct", "importance"] = Field(
        "direct",
        description="Estimator of A⁺. `importance` needs the densities of uncorrelated noise, so it is "
        "not allowed with sac.noise_correlation.",
    )
    accept_biased_critic: bool = Field(
        False,
        description="Allow `rsm` to judge with a critic of n-step returns under correlated noise. That "
        "critic is not the one of the current policy, so A⁺ and ζ are biased (not published).",
    )
    judge: Literal["own", "peers"] = Field(
        "own",
        description="Whose critics judge a replica: the receiver's own (published), or those of "
        "neighbours that sent no segment of it (docs/concepts/algorithm.md).",
    )
    jurors: int = Field(3, ge=1, le=255, description="m: jurors asked by `judge: peers`.")
    states: int | None = Field(
        None,
        ge=2,
        le=100_000,
        description="B: replayed states on which a replica is judged. null: 256, and with `judge: peers`, "
        "where they are sent, 128: the fewest whose area under the ROC curve is within 0.02 of that of 256 in "
        "`gate-fleet`, by its whole interval.",
    )
    recent: int = Field(
        2000, ge=2, description="Number of latest transitions from which these states are drawn."
    )
    zeta_max: float = Field(0.8, gt=0, le=1, description="Largest ζ.")
    kl_limit: Positive = Field(
        0.01, description="δ in nats, of `line-search`, `trust-region` and `coin` (not published)."
    )
    zeta_fixed: float = Field(
        0.1,
        gt=0,
        le=1,
        description="ζ of the rule `fixed`, at most `zeta_max` (not published).",
    )

    @property
    def judged_states(self) -> int:
        """B: `states`, or what the judge usually takes."""
        return self.states or (STATES if self.judge == "own" else STATES_OF_A_QUESTION)

    @model_validator(mode="after")
    def _published_code_has_its_own_judgement(self) -> Mixing:
        if self.published_code:
            for name in ("rule", "advantage", "judge"):
                self._only(name, (type(self).model_fields[name].default,), "published_code")
        return self

    @model_validator(mode="after")
    def _peers_are_asked_about_two_policies(self) -> Mixing:
        """Refuse rules that try policies between π and π̃: jurors are asked about these two only."""
        if self.judge == "peers":
            self._only("advantage", ("direct",), "judge")
            self._only("rule", ("theorem2", "trust-region", "fixed", "coin"), "judge")
        return self

    def _only(self, name: str, allowed: tuple[str, ...], by: str) -> None:
        """Raises KeyedError unless the setting `name` has a value that goes with the setting `by`."""
        value = getattr(self, name)
        if value not in allowed:
            raise KeyedError(
                f"mixing.{name}",
                value,
                f"with mixing.{by} {getattr(self, by)} allowed: {', '.join(allowed)}",
            )


class Attack(Settings):
    """Attackers: agents that send manipulated values, chosen by the seed (not published)."""

    agents: int = Field(
        0, ge=0, le=255, description="Number of attackers; they drive and learn like the others."
    )
    kind: Literal[ATTACKS] = Field(  # type: ignore[valid-type]
        "sign-flip",
        description="What they send: −θ, noise of the spread of θ, zeros, 10 θ, θ at the start, `alie` and "
        "`ipm` (which know all honest θ); a `liar` sends θ and answers −Q as a juror.",
    )


class Slow(Settings):
    """Agents that compute more slowly, chosen by the seed (not published)."""

    agents: int = Field(0, ge=0, le=255, description="How many.")
    factor: int = Field(
        10, ge=1, le=10_000, description="They make an update at every factor-th opportunity."
    )


class Restarts(Settings):
    """Newcomers, chosen by the seed: freshly drawn actor and critics, an empty replay (not published)."""

    agents: int = Field(0, ge=0, le=255, description="How many.")
    episode: int = Field(2, ge=2, description="The episode at which they are reset, from 2.")


class Churn(Settings):
    """Agents whose radio is temporarily off; they continue to drive and learn (not published)."""

    rate: float = Field(
        0.0, ge=0, le=3600, description="How often an agent leaves, per hour of simulated time."
    )
    absence: Positive = Field(60.0, description="Mean absence, s.")
