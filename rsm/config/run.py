"""What one run is: frozen models of its settings, with the published experiment as defaults.

Every unknown key is an error. The JSON schema of a study is generated from these models
(`rsm schema`), and a test fails when the committed file differs.

Source of the defaults: arXiv:2312.10123, the published experiment, unless a field says otherwise.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from rsm.config.axes import AXES, setting
from rsm.config.catalogue import (
    ATTACKS,
    CONTROL,
    FLEET,
    METHODS,
    RULES,
    UNTRAINED,
    check_extensions,
    scenario_traits,
    topology_forms,
)
from rsm.config.loading import explain, load_yaml
from rsm.config.names import MethodName, ScenarioName, TopologyName
from rsm.errors import ConfigError, KeyedError, one_line

# A changed default of a setting is a new version, since the hash of settings leaves defaults out.
SETTINGS_VERSION = 2

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _without_sign_of_zero(value: float) -> float:
    """−0 and 0 mean the same and must not give two settings hashes."""
    return value + 0.0


Fraction = Annotated[float, Field(ge=0, le=1), AfterValidator(_without_sign_of_zero)]


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class Traffic(Settings):
    """The world the vehicles drive in (docs/scenarios.md)."""

    scenario: ScenarioName = "figure-eight"
    decision_interval: int = Field(
        1, ge=1, le=1500, description="Simulation steps (0.1 s) for which an action is held."
    )
    horizon: int = Field(1500, ge=1, le=100_000, description="Simulation steps of an episode.")
    actions: Literal["acceleration", "target-speed"] = Field(
        "acceleration",
        description="An action is an acceleration, or a speed in [0, target_speed_max] that the "
        "vehicle approaches with at most its largest acceleration (not published).",
    )
    target_speed_max: Positive = Field(
        12.0, le=60, description="Largest target speed, m/s (not published)."
    )
    observation: Literal["absolute", "relative"] = Field(
        "absolute",
        description="Positions and speeds of three vehicles, or sine and cosine of the own position, "
        "own speed, and gaps and speed differences to leader and follower (not published).",
    )
    junction: Literal["sumo", "idm"] = Field(
        "sumo",
        description="Who drives a human inside the junction: SUMO's car-following, as in Flow, or our IDM.",
    )
    collision: Literal["terminate", "teleport"] | None = Field(
        None,
        description="A collision ends the episode, or SUMO moves the vehicle on and the episode goes on; the "
        "reward of that step is 0. null is what the scenario says: teleport in figure-eight, figure-eight-all "
        "and fleets, terminate in flow-figure-eight-*.",
    )
    horizon_end: Literal["truncation", "termination"] = Field(
        "truncation",
        description="What the horizon is to a learner: a truncation, beyond which it bootstraps, or a "
        "termination, where the value is 0 (published code).",
    )

    @property
    def on_collision(self) -> Literal["terminate", "teleport"]:
        """What a collision does: `collision`, or what the scenario says."""
        return self.collision or scenario_traits(self.scenario).collision


class Sac(Settings):
    """Soft actor-critic of every agent."""

    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (256, 256),
        min_length=1,
        max_length=4,
        strict=False,
        description="Units of the ReLU layers.",
    )
    actor_lr: Positive = Field(4e-5, description="Adam step size of the actor.")
    critic_lr: Positive = Field(3e-4, description="Adam step size of the critics.")
    alpha_lr: Positive = Field(3e-4, description="Adam step size of log α.")
    alpha_init: Positive = Field(0.01, description="Temperature α at the start.")
    target_entropy: float | None = Field(
        None, description="Entropy of the unit action, nats, that α aims at; null is −|A|."
    )
    gamma: float = Field(0.99, gt=0, lt=1, description="Discount per decision.")
    gradient_clip: Positive | None = Field(
        None,
        description="Largest norm of the gradient of each actor and of each critic; null does not clip "
        "(published code: 0.5).",
    )
    tau: float = Field(0.001, gt=0, le=1, description="Polyak step of the target critics.")
    batch_size: int = Field(256, ge=1, le=100_000, description="Transitions per agent and update.")
    replay_size: int = Field(
        100_000, ge=1, le=10_000_000, description="Transitions kept, per agent."
    )
    learning_starts: int = Field(
        1280, ge=2, description="Transitions per agent before the first update."
    )
    update_every: int = Field(10, ge=1, description="Decisions between two updates.")
    n_step: int = Field(
        1, ge=1, le=100, description="Rewards summed before bootstrapping (not published)."
    )
    reward_shift: Annotated[float, AfterValidator(_without_sign_of_zero)] = Field(
        0.0, description="Added to the reward that the learner sees (not published)."
    )
    reward_scale: Positive = Field(
        1.0, description="The learner sees (reward + reward_shift) · reward_scale (not published)."
    )
    random_decisions: int = Field(
        0, ge=0, description="First decisions, taken uniformly at random (not published)."
    )
    noise_correlation: Annotated[float, AfterValidator(_without_sign_of_zero)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="Correlation of the exploration noise between two decisions (not published).",
    )

    @model_validator(mode="after")
    def _learns_at_all(self) -> Sac:
        if self.learning_starts > self.replay_size:
            raise ValueError(
                f"learning_starts ({self.learning_starts}) must be at most replay_size "
                f"({self.replay_size}), or no update would ever be made"
            )
        return self


class Communication(Settings):
    """Who may hear whom, what travels and how often."""

    topology: TopologyName = "radius:90"
    share: Literal["actor", "actor+critic"] = Field(
        "actor", description="What travels, the same for every method."
    )
    period: int = Field(8, ge=1, description="U: updates between two rounds.")
    segments: int = Field(4, ge=1, le=65_535, description="P: segments of a parameter vector.")
    replicas: int = Field(3, ge=1, le=255, description="K: referential policies per round.")
    loss_rate: Fraction = Field(0.0, description="Probability that the channel loses a frame.")
    barrier: Literal["slowest", "none"] = Field(
        "slowest",
        description="When a round begins: once the slowest agent has made U updates, for which the others "
        "wait, or at every U-th update of the fastest.",
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


class Mixing(Settings):
    """How a referential policy is judged and how far θ moves toward it (docs/algorithm.md)."""

    rule: Literal[RULES] = Field(  # type: ignore[valid-type]
        "theorem2", description="How ζ is found."
    )
    published_code: Literal["aug", "jul"] | None = Field(
        None,
        description="Judge and mix as one of the two public versions of the code does; null is the method as "
        "written (docs/algorithm.md).",
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
        "nothing (docs/algorithm.md).",
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
        """A rule that tries policies in between would have to ask anew for each of them."""
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


class InitFrom(Settings):
    """A finished run whose policies the agents begin with, in place of random ones (transfer)."""

    run: str | None = Field(
        None,
        min_length=1,
        description="Folder of the finished run; null begins at random. In a study {seed} is the run's seed.",
    )
    agent: Annotated[int, Field(ge=0)] | Literal["mean", "best"] = Field(
        0,
        description="The agent of that run with whose parameters all begin (published: 0), the mean over its "
        "agents, or the agent with the best return where each has a reward of its own.",
    )
    what: Literal["policies", "policies+critics"] = Field(
        "policies+critics", description="What is taken; the rest begins at random."
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the policy file; null takes what is there, and a run writes down what it took.",
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


class Training(Settings):
    """How long a run learns."""

    episodes: int = Field(
        310,
        ge=1,
        le=1_000_000,
        description="Training episodes. A finished run whose checkpoint was kept goes on where this is raised.",
    )
    keep_checkpoint: bool = Field(
        False,
        description="Keep the checkpoint of the last episode, so that the run can be continued; it holds the "
        "replay. Decides no number.",
    )


class Evaluation(Settings):
    """How a run is measured, on seeds that training never uses."""

    every: int = Field(10, ge=1, description="Training episodes between two evaluations.")
    episodes: int = Field(
        3, ge=1, le=1000, description="Held-out seeds per evaluation and mode (not published)."
    )
    control_episodes: int = Field(
        5,
        ge=1,
        le=1000,
        description="Held-out seeds of a control, at least `episodes` (not published). Its numbers count the "
        "first `episodes` of them, which the learning methods drive too; the others are in its evaluations.",
    )

    @model_validator(mode="after")
    def _controls_drive_what_learners_do(self) -> Evaluation:
        if self.control_episodes < self.episodes:
            raise ValueError(
                f"control_episodes ({self.control_episodes}) must be at least episodes ({self.episodes}), "
                "or learners could not be compared with controls on the same traffic"
            )
        return self


class Gate(Settings):
    """How often the yes of a gate is a gain: replicas are judged, and driven with (not published)."""

    replicas: int = Field(
        0,
        ge=0,
        le=255,
        description="Replicas per evaluation, each of another agent, whose gain is measured; 0 measures none. "
        "Methods without a gate ignore it.",
    )
    episodes: int = Field(
        4,
        ge=1,
        le=500,
        description="Held-out seeds, anew at each evaluation, driven with the replica and without.",
    )


class RunSettings(Settings):
    """The settings that the runs of a study share."""

    traffic: Traffic = Traffic()
    sac: Sac = Sac()
    communication: Communication = Communication()
    mixing: Mixing = Mixing()
    slow: Slow = Slow()
    restarts: Restarts = Restarts()
    churn: Churn = Churn()
    attack: Attack = Attack()
    init_from: InitFrom = InitFrom()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()


class RunConfig(RunSettings):
    """Everything that decides the numbers of one run."""

    varied: tuple[str, ...] = Field(
        (),
        strict=False,
        description="Dotted keys of settings that the grid of a study varies beside those with a key of their "
        "own: words of the run id.",
    )
    method: MethodName = "rsm"
    seed: int = Field(0, ge=0, le=9_999)

    @model_validator(mode="after")
    def _loops_have_no_distance(self) -> RunConfig:
        traits = METHODS.get(self.method)
        fleet = self.traffic.scenario.startswith(FLEET)
        if (
            fleet
            and traits
            and traits.topology
            and self.communication.topology.startswith("radius")
        ):
            raise KeyedError(
                "communication.topology",
                self.communication.topology,
                f"distances have no meaning across the separate loops of {self.traffic.scenario}; "
                f"allowed: {topology_forms().split(', ', 1)[1]}",
            )
        return self

    @model_validator(mode="after")
    def _crashing_does_not_pay(self) -> RunConfig:
        shift = self.sac.reward_shift
        if self.learns and shift < 0 and self.traffic.on_collision == "terminate":
            raise KeyedError(
                "sac.reward_shift",
                shift,
                "a negative reward in ordinary driving makes it best to end the episode by a collision; "
                "allowed: at least 0, or traffic.collision: teleport",
            )
        return self

    @model_validator(mode="after")
    def _critic_is_that_of_the_policy(self) -> RunConfig:
        """A⁺ rests on it; exploration that is correlated over decisions teaches another one."""
        traits, correlation = METHODS.get(self.method), self.sac.noise_correlation
        if not (traits and traits.judged and correlation):
            return self
        if self.mixing.advantage == "importance":
            raise KeyedError(
                "mixing.advantage",
                "importance",
                "it is biased under correlated noise; allowed: direct, or importance with "
                f"sac.noise_correlation 0, not {correlation:g}",
            )
        if self.sac.n_step > 1 and not self.mixing.accept_biased_critic:
            raise KeyedError(
                "sac.noise_correlation",
                correlation,
                f"with sac.n_step {self.sac.n_step} the critic is not that of the policy that A⁺ is about; "
                "allowed: 0, or sac.n_step 1, or mixing.accept_biased_critic true",
            )
        return self

    @model_validator(mode="after")
    def _newcomers_have_no_episodes_to_hold_out(self) -> RunConfig:
        if self.learns and self.restarts.agents and self.mixing.rule == "line-search":
            raise KeyedError(
                "restarts.agents",
                self.restarts.agents,
                "a newcomer has no episodes of which mixing.rule line-search could hold out one; allowed: 0",
            )
        return self

    @property
    def learns(self) -> bool:
        """False for a control."""
        return self.method in METHODS

    @property
    def measures_gate(self) -> bool:
        """Whether the run leaves the table `gate`."""
        return self.gate.replicas > 0 and METHODS.get(self.method, CONTROL).judged

    @property
    def begins_from(self) -> str | None:
        """The folder of the run whose policies this one begins with; None for a script or random parameters."""
        return self.init_from.run if self.learns or self.method == UNTRAINED else None

    @property
    def driven(self) -> Traffic:
        """What is driven: `traffic`; a scripted control decides by accelerations, whatever learners do."""
        if self.learns or self.method == UNTRAINED:
            return self.traffic
        return self.traffic.model_copy(
            update={"actions": "acceleration", "observation": "absolute"}
        )

    @property
    def axes(self) -> dict[str, Any]:
        """What a grid can vary between runs of this method, seeds apart; None where it has no such thing."""
        traits = METHODS.get(self.method, CONTROL)
        return {
            axis.name: setting(self, axis.setting) if axis.has(traits) else None for axis in AXES
        }

    @property
    def settings_hash(self) -> str:
        """Twelve hex digits that guard a run folder: same settings, same hash.

        What stands at the default of this version of the settings is left out, so that a new setting with a
        neutral default changes no hash; a changed default is a new version. `training.episodes` is left out
        too, since a run may be continued, and `varied` and `training.keep_checkpoint`, which decide no number.
        Of `init_from` the content of the policy file counts, not its path; the path stands in where there is no
        such file (yet).
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        content.pop("varied", None)
        for key in ("episodes", "keep_checkpoint"):
            content.get("training", {}).pop(key, None)
        if self.init_from.run is None:
            content.pop("init_from", None)
        elif digest := self.init_from.sha256 or policy_digest(Path(self.init_from.run)):
            # What is taken counts, not where it lay.
            content["init_from"] |= {"run": "", "sha256": digest}
        content = {key: value for key, value in content.items() if value != {}}
        content |= {"method": self.method, "seed": self.seed, "version": SETTINGS_VERSION}
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def run_id(self) -> str:
        """Readable name, e.g. `rsm-radius90-p4-k3-seed0`; what is usual is left out."""
        return f"{self.configuration}-seed{self.seed}"

    @property
    def configuration(self) -> str:
        """The run id without its seed: runs of one configuration differ in the seed alone."""
        traits = METHODS.get(self.method, CONTROL)
        words = [self.method]
        for axis in AXES:
            value = setting(self, axis.setting)
            if axis.has(traits) and value not in axis.usual:
                words.append(axis.word(value))
        for key in self.varied:
            words.append(varied_word(key, setting(self, key)))
        return "-".join(words)


def own_settings(config: RunConfig) -> str:
    """A run as JSON without what stands at its default: a setting added later changes nothing."""
    content = config.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content | {"method": config.method, "seed": config.seed})


def varied_word(key: str, value: Any) -> str:
    """A setting of the grid without an axis of its own, in a run id: `sac.tau` and 0.02 give `tau0.02`."""
    if key == "init_from.run":  # by the last part of its path, without the seed
        source = re.sub(r"-seed(\{seed\}|[0-9]+)$", "", Path(value).name) if value else "scratch"
        return re.sub("[^a-z0-9.+-]+", "-", f"from-{source}".lower())
    text = "x".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
    words = f"{key.rpartition('.')[2]}{text}".lower()
    return re.sub("[^a-z0-9.+-]+", "-", words)


POLICY = "policy.safetensors"  # the policies that a finished run leaves in its folder


def policy_digest(folder: Path) -> str | None:
    """SHA-256 of the policy file in a run folder; None where there is none to be read."""
    try:
        return hashlib.sha256((folder / POLICY).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def load_run(path: Path) -> RunConfig:
    """Read the settings of one run from YAML; raises ConfigError, also for a file that says nothing."""
    content = load_yaml(path)
    if not content:
        raise ConfigError(f"{one_line(path)}: it says nothing: give at least `method:`")
    return parse_run(content, one_line(path))


def parse_run(content: dict[str, Any], source: str) -> RunConfig:
    """Settings of one run from a mapping; raises ConfigError that names `source`."""
    check_extensions()
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig, source)) from None
