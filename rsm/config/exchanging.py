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


class Communication(Settings):
    """Who may hear whom, what travels and how often."""

    topology: TopologyName = "radius:90"
    share: Literal["actor", "actor+critic"] = Field(
        "actor", description="What travels, the same for every method."
    )
    period: int = Field(8, ge=1, description="U: updates between two rounds.")
    segments: int = Field(4, ge=1, le=65_535, description="P: segments of a parameter vector.")
    replicas: int = Field(3, ge=1, le=255, description="K: referential policies per round.")
    encoding: EncodingName = "float32"
    loss_rate: Fraction = Field(0.0, description="Probability that the channel loses a frame.")
    barrier: Literal["slowest", "none"] = Field(
        "slowest",
        description="When a round begins: once the slowest agent has made U updates, for which the others "
        "wait, or at every U-th update of the fastest.",
    )
    mode: Literal["synchronous", "asynchronous"] = Field(
        "synchronous",
        description="All agents exchange in one round and wait for each other, or each begins a round of its "
        "own after U of its updates and nobody waits (not published).",
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
        description="Bytes per second that all links of a node, the server's too, share in order of sending; "
        "null does not bound them (not published).",
    )
    timeout: Positive = Field(
        5.0,
        description="s after which a round takes what has come; where nothing takes time it is not waited for.",
    )
    byzantine: int = Field(
        0,
        ge=0,
        le=127,
        description="f: neighbours that `trimmed-mean`, `median`, `krum` and `multi-krum` are told to outvote.",
    )
    clip: Positive = Field(
        1.0, description="Radius of `clipped-gossip`, in median distances to the neighbours."
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
        description="Judge and mix as one of the two public versions of the code does; null is the method as "
        "written (docs/concepts/algorithm.md).",
    )
    advantage: Literal["direct", "importance"] = Field(
        "direct",
        description="Estimator of A⁺. `importance` needs the densities of uncorrelated noise: it is refused "
        "with sac.noise_correlation.",
    )
    accept_biased_critic: bool = Field(
        False,
        description="Allow `rsm` to judge with the critic of n-step returns under correlated noise. It is not "
        "that of the policy, so A⁺ and ζ say little (not published).",
    )
    judge: Literal["own", "peers"] = Field(
        "own",
        description="Whose critics judge: the receiver's own (published), or those of neighbours that sent "
        "nothing (docs/concepts/algorithm.md).",
    )
    jurors: int = Field(3, ge=1, le=255, description="m: neighbours asked by `judge: peers`.")
    states: int = Field(256, ge=2, le=100_000, description="Replayed states that judge a replica.")
    recent: int = Field(
        2000, ge=2, description="These states come from this many latest transitions."
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
    """Agents that send harm, chosen by the seed (not published)."""

    agents: int = Field(
        0, ge=0, le=255, description="How many; they drive and learn as the others do."
    )
    kind: Literal[ATTACKS] = Field(  # type: ignore[valid-type]
        "sign-flip",
        description="What they send: −θ, noise of the spread of θ, zeros, 10 θ, θ at the start, `alie` and "
        "`ipm` (which know all honest θ); a `liar` sends θ and answers −Q as a juror.",
    )


class Slow(Settings):
    """Agents that compute more slowly, chosen by the seed (not published)."""

    agents: int = Field(0, ge=0, le=255, description="How many.")
    factor: int = Field(10, ge=1, le=10_000, description="They update at every factor-th occasion.")


class Restarts(Settings):
    """Newcomers, chosen by the seed: freshly drawn actor and critics, an empty replay (not published)."""

    agents: int = Field(0, ge=0, le=255, description="How many.")
    episode: int = Field(2, ge=2, description="The episode that they begin with, from 2.")


class Churn(Settings):
    """Agents whose radio is off now and then; they go on driving and learning (not published)."""

    rate: float = Field(
        0.0, ge=0, le=3600, description="How often an agent leaves, per hour of simulated time."
    )
    absence: Positive = Field(60.0, description="Mean absence, s.")
