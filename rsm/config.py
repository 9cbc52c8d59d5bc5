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
from typing import Annotated, Any, Literal, NamedTuple, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)


class ConfigError(ValueError):
    """A user's mistake: one line naming the place, the key, the value and what is allowed."""


class RunError(RuntimeError):
    """What went wrong around us (SUMO, disk, store): one line with what to do, and exit code 1."""


class MethodTraits(NamedTuple):
    """What the grid and the training loop need to know of a method before importing it."""

    module: str  # `rsm.methods.<...>` with a function `communicate`; empty for a control
    topology: bool  # its runs differ by topology
    segments: bool  # its runs differ by segments and replicas
    metric: bool  # its runs differ by the way ζ is found (`mixing.constant`)


# The registry. A new method is a file in rsm/methods/ and a line here.
METHODS: dict[str, MethodTraits] = {
    "independent": MethodTraits("rsm.methods.independent", False, False, False),
    "average": MethodTraits("rsm.methods.average", True, False, False),
    "segment-average": MethodTraits("rsm.methods.segment_average", True, True, False),
    "fmarl": MethodTraits("rsm.methods.fmarl", False, False, False),
    "rsm": MethodTraits("rsm.methods.rsm", True, True, True),
}

# Controls do not learn: a controller of rsm.traffic.controllers drives the learning vehicles.
CONTROLS = ("human", "random", "go", "platoon")

SCENARIOS = (
    "figure-eight",
    "figure-eight-all",
    "flow-figure-eight-0",
    "flow-figure-eight-1",
    "flow-figure-eight-2",
)
FLEET = "fleet-figure-eight"  # `fleet-figure-eight:<N>`: N loops with one learning vehicle each
MOST_LOOPS = 256
SCENARIO_FORMS = f"{', '.join(SCENARIOS)}, {FLEET}:<loops>"
CONSTANTS = ("theorem2", "certified", "line-search", "trust-region", "fixed")

TOPOLOGY_FORMS = (
    "radius:<metres>, complete, ring, star, regular:<degree>, erdos-renyi:<probability>, "
    "small-world:<neighbours>:<probability>"
)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _without_sign_of_zero(value: float) -> float:
    """−0 and 0 mean the same and must not give two settings hashes."""
    return value + 0.0


Fraction = Annotated[float, Field(ge=0, le=1), AfterValidator(_without_sign_of_zero)]

# Numbers of a topology are part of run ids, file names and wildcards: float() alone would take
# spaces, underscores and the digits of other scripts.
_NUMBER = re.compile(r"(?!-0(\.0+)?$)-?([0-9]+(\.[0-9]+)?(e-?[0-9]+)?|inf|nan)")
_LARGEST_FILE = 1_000_000  # characters of a settings file; /dev/zero has no end


class Topology(NamedTuple):
    """A parsed topology: its family and its numbers, e.g. ("radius", (90.0,))."""

    family: str
    parameters: tuple[float, ...]


def parse_topology(text: str) -> Topology:
    """Parse `family[:number[:number]]`; raises ValueError naming what is allowed."""
    family, *raw = text.split(":")
    if not all(_NUMBER.fullmatch(word) for word in raw):
        raise ValueError(
            "its numbers cannot be read: plain decimal numbers are expected; "
            f"allowed: {TOPOLOGY_FORMS}"
        )
    numbers = tuple(float(word) for word in raw)
    whole = all(number == int(number) for number in numbers[:1] if abs(number) < 1e9)
    match (family, numbers):
        case ("complete" | "ring" | "star", ()):
            pass
        case ("radius", (metres,)):
            if not 0 < metres < float("inf"):
                raise ValueError("the radius must be a finite number of metres above 0")
        case ("regular", (degree,)):
            if not (whole and 1 <= degree < 1e9):
                raise ValueError("the degree must be a whole number of at least 1")
        case ("erdos-renyi", (probability,)):
            if not 0 < probability <= 1:
                raise ValueError("the probability must be in (0, 1]")
        case ("small-world", (neighbours, probability)):
            if not (whole and 2 <= neighbours < 1e9 and 0 <= probability <= 1):
                raise ValueError(
                    "neighbours must be a whole number of at least 2, the probability in [0, 1]"
                )
        case _:
            raise ValueError(f"no such topology; allowed: {TOPOLOGY_FORMS}")
    return Topology(family, numbers)


def parse_scenario(name: str) -> tuple[str, int]:
    """A scenario's family and its number of loops, e.g. ("fleet-figure-eight", 9).

    Raises ValueError naming what is allowed.
    """
    if name in SCENARIOS:
        return name, 1
    family, _, number = name.partition(":")
    if family == FLEET and re.fullmatch(r"[1-9][0-9]{0,3}", number) and int(number) <= MOST_LOOPS:
        return family, int(number)
    raise ValueError(f"no such scenario; allowed: {SCENARIO_FORMS} (1 to {MOST_LOOPS} loops)")


class KeyedError(ValueError):
    """A mistake that several settings make together, blamed on one of them."""

    def __init__(self, key: str, value: object, message: str) -> None:
        super().__init__(message)
        self.key, self.value = key, value


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class Traffic(Settings):
    """The world the vehicles drive in (scenarios.md)."""

    scenario: str = Field("figure-eight", description=f"One of {SCENARIO_FORMS}.")
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
    collision: Literal["terminate", "teleport"] = Field(
        "terminate",
        description="A collision ends the episode, or SUMO teleports and goes on (published code).",
    )

    @field_validator("scenario")
    @classmethod
    def _scenario(cls, name: str) -> str:
        parse_scenario(name)
        return name


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
        None, description="Entropy (nats, of the scaled action) that α aims at; null is −|A|."
    )
    gamma: float = Field(0.99, gt=0, lt=1, description="Discount per decision.")
    tau: float = Field(0.001, gt=0, le=1, description="Polyak step of the target critics.")
    batch_size: int = Field(256, ge=1, le=100_000, description="Transitions per agent and update.")
    replay_size: int = Field(
        100_000, ge=1, le=10_000_000, description="Transitions kept, per agent."
    )
    learning_starts: int = Field(
        1280, ge=1, description="Transitions per agent before the first update."
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

    topology: str = Field("radius:90", description=f"One of {TOPOLOGY_FORMS}.")
    share: Literal["actor", "actor+critic"] = Field(
        "actor", description="What travels, the same for every method."
    )
    period: int = Field(8, ge=1, description="U: updates between two rounds.")
    segments: int = Field(4, ge=1, le=65_535, description="P: segments of a parameter vector.")
    replicas: int = Field(3, ge=1, le=255, description="K: referential policies per round.")
    loss_rate: Fraction = Field(0.0, description="Probability that the channel loses a frame.")

    @field_validator("topology")
    @classmethod
    def _topology(cls, text: str) -> str:
        parse_topology(text)
        return text


class Mixing(Settings):
    """How a referential policy is judged and how far θ moves toward it (algorithm.md)."""

    constant: Literal[CONSTANTS] = Field(  # type: ignore[valid-type]
        "theorem2", description="How ζ is found."
    )
    advantage: Literal["direct", "importance"] = Field(
        "direct",
        description="Estimator of A⁺. The stored densities of `importance` are those of uncorrelated "
        "noise: with sac.noise_correlation they are an approximation.",
    )
    states: int = Field(256, ge=2, le=100_000, description="Replayed states that judge a replica.")
    recent: int = Field(
        2000, ge=1, description="These states come from this many latest transitions."
    )
    zeta_max: float = Field(0.8, gt=0, le=1, description="Largest ζ.")
    kl_limit: Positive = Field(
        0.01, description="δ in nats, of `line-search` and `trust-region` (not published)."
    )
    zeta_fixed: float = Field(
        0.1, gt=0, le=1, description="ζ of the constant `fixed` (not published)."
    )


class Training(Settings):
    """How long a run learns."""

    episodes: int = Field(310, ge=1, le=1_000_000, description="Training episodes.")


class Evaluation(Settings):
    """How a run is measured, on seeds that training never uses."""

    every: int = Field(10, ge=1, description="Training episodes between two evaluations.")
    episodes: int = Field(
        3, ge=1, le=1000, description="Held-out seeds per evaluation and mode (not published)."
    )
    control_episodes: int = Field(
        5, ge=1, le=1000, description="Held-out seeds of a control (not published)."
    )


class RunSettings(Settings):
    """The settings that the runs of a study share."""

    traffic: Traffic = Traffic()
    sac: Sac = Sac()
    communication: Communication = Communication()
    mixing: Mixing = Mixing()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()


class RunConfig(RunSettings):
    """Everything that decides the numbers of one run."""

    method: Literal[tuple(METHODS) + CONTROLS] = "rsm"  # type: ignore[valid-type]
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
                f"allowed: {TOPOLOGY_FORMS.split(', ', 1)[1]}",
            )
        return self

    @property
    def learns(self) -> bool:
        """False for a control."""
        return self.method in METHODS

    @property
    def driven(self) -> Traffic:
        """What is driven: `traffic`; a control decides by accelerations, whatever learners do."""
        if self.learns:
            return self.traffic
        return self.traffic.model_copy(
            update={"actions": "acceleration", "observation": "absolute"}
        )

    @property
    def settings_hash(self) -> str:
        """Twelve hex digits that guard a run folder: same settings, same hash."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def run_id(self) -> str:
        """Readable name, e.g. `rsm-radius90-p4-k3-seed0`; what equals the default is left out."""
        return f"{self.cell}-seed{self.seed}"

    @property
    def cell(self) -> str:
        """The run id without its seed: runs of one cell differ in the seed alone."""
        traits = METHODS.get(self.method)
        words = [self.method]
        if traits is None:
            return self.method
        if traits.metric and self.mixing.constant != "theorem2":
            words.append(self.mixing.constant)
        if traits.topology:
            family, *numbers = self.communication.topology.split(":")
            words.append(family + "-".join(numbers))
        if traits.segments:
            words.append(f"p{self.communication.segments}-k{self.communication.replicas}")
        if self.communication.share != "actor":
            words.append(self.communication.share)
        if self.communication.loss_rate:
            words.append(f"loss{self.communication.loss_rate:g}")
        return "-".join(words)


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line for the first mistake pydantic found in `model`: place, key, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    key = one_line(".".join(str(part) for part in first["loc"])) or "(top level)"
    message = first["msg"].removeprefix("Value error, ")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, KeyedError):
        return f"{source}: {cause.key}: {shown(cause.value)} is not allowed: {message}"
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_keys_at(model, first["loc"][:-1]))
        return f"{source}: {key}: unknown key (value {shown(first['input'])}); allowed: {allowed}"
    return f"{source}: {key}: {shown(first['input'])} is not allowed: {message}"


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys of the settings at a place in the tree of models."""
    for part in place:
        if isinstance(part, int):  # which one of a list: all have the same keys
            continue
        below = model.model_fields[part].annotation
        model = next(
            kind
            for kind in (below, *get_args(below))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return list(model.model_fields)


def shown(value: Any) -> str:
    """A value as it appears in a message: on one line, and short."""
    text = re.sub(r"\s+", " ", repr(value))
    return text if len(text) <= 80 else text[:77] + "..."


def one_line(text: object) -> str:
    """A text or path in a message, without line breaks and other control characters."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises ConfigError for whatever a file can be instead."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{one_line(path)}: cannot be read: {reason}") from None
    if len(text) > _LARGEST_FILE:
        raise ConfigError(
            f"{one_line(path)}: cannot be read: it is larger than {_LARGEST_FILE} characters"
        )
    return parse_yaml(text, one_line(path))


class _Loader(yaml.SafeLoader):
    """Plain data only; a key given twice, an alias (a file could unfold without end) is an error."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call, unused-ignore]
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed: write the value out",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in known:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {shown(key.value)} is there twice: each may be given once",
                    problem_mark=key.start_mark,
                )
            known.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """The mapping in a YAML text; raises ConfigError that names `source` for anything else."""
    try:
        content = yaml.load(text, _Loader)
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        words = [getattr(error, name, None) for name in ("context", "problem", "reason")]
        problem = ", ".join(word for word in words if word) or str(error)
        raise ConfigError(f"{source}{where}: not valid YAML: {one_line(problem)}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(
            f"{source}: (top level): {shown(content)} is not allowed: a mapping of settings is expected"
        )
    return content


def load_run(path: Path) -> RunConfig:
    """Read the settings of one run from YAML; raises ConfigError."""
    return parse_run(load_yaml(path), str(path))


def parse_run(content: dict[str, Any], source: str) -> RunConfig:
    """Settings of one run from a mapping; raises ConfigError that names `source`."""
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig, source)) from None


def dump_yaml(model: BaseModel) -> str:
    """The resolved settings as YAML, defaults included, keys in the order of the models."""
    return yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
