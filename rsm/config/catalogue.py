"""The names that settings may take: methods, controls, scenarios, topologies and rules for ζ.

Settings and studies need the names and their traits without importing the code behind them. Installed
packages add methods, scenarios and topologies by entry points (docs/how-to/extending.md).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from rsm.config.extensions import Registry, read_as


class MethodTraits(NamedTuple):
    """What the grid and the training loop need to know of a method before importing it."""

    module: str  # has `ask` and `mix` (rsm.methods.context.Method); empty for a control
    topology: bool = False  # its runs differ by topology
    segments: bool = False  # its runs differ by segments and replicas
    judged: bool = False  # mixes replica by replica with ζ: its runs differ by `mixing.rule`
    server: bool = False  # a central server asks and mixes before the agents do
    # Tolerates `communication.byzantine` faulty neighbours; its module defines `least`
    resilient: bool = False
    exchanges: bool = True  # has rounds: its runs differ by what is shared and by losses
    # Who learns: every agent by itself, actors with a critic of everything, or one policy for all.
    learner: Literal["sac", "masac", "shared"] = "sac"


# A new method of ours is a file in rsm/methods/ and a line here.
_METHODS: dict[str, MethodTraits] = {
    "independent": MethodTraits(module="rsm.methods.independent", exchanges=False),
    "average": MethodTraits(module="rsm.methods.average", topology=True),
    "segment-average": MethodTraits(
        module="rsm.methods.segment_average", topology=True, segments=True
    ),
    "fmarl": MethodTraits(module="rsm.methods.fmarl", server=True),
    "trimmed-mean": MethodTraits(module="rsm.methods.trimmed_mean", topology=True, resilient=True),
    "median": MethodTraits(module="rsm.methods.median", topology=True, resilient=True),
    "krum": MethodTraits(module="rsm.methods.krum", topology=True, resilient=True),
    "multi-krum": MethodTraits(module="rsm.methods.multi_krum", topology=True, resilient=True),
    "clipped-gossip": MethodTraits(
        module="rsm.methods.clipped_gossip", topology=True, resilient=True
    ),
    "rsm": MethodTraits(module="rsm.methods.rsm", topology=True, segments=True, judged=True),
    "masac": MethodTraits(module="rsm.methods.masac", exchanges=False, learner="masac"),
    "shared-policy": MethodTraits(
        module="rsm.methods.shared_policy", exchanges=False, learner="shared"
    ),
}
METHODS = Registry("rsm.methods", _METHODS, read_as(MethodTraits))

CONTROL = MethodTraits(module="", exchanges=False)
# Controls do not learn: a controller of rsm.traffic.controllers drives the learning vehicles, or the policy
# that a run of these settings and this seed begins with.
SCRIPTED = ("human", "sumo", "random", "go", "platoon", "meter")
# Those written for one kind of road: whether its agents are slots.
CONTROL_OF_SLOTS = {"platoon": False, "meter": True}
UNTRAINED = "untrained"
CONTROLS = (*SCRIPTED, UNTRAINED)


class ScenarioTraits(NamedTuple):
    """What settings need to know of a scenario before importing it."""

    # What a collision does, unless `traffic.collision` is set.
    collision: Literal["terminate", "teleport"]
    # a module of another package defines `SCENARIO`
    module: str = "rsm.traffic.scenarios"
    own_returns: bool = False  # every agent has a loop, and so a return, of its own
    decision_interval: int = 1  # where `traffic.decision_interval` says nothing
    horizon: int = 1500  # where `traffic.horizon` says nothing
    dt: float = 0.1  # simulated time of a step, s
    # Those allowed; the first where `traffic.observation` says nothing.
    observations: tuple[str, ...] = ("absolute", "relative", "gaps")
    slots: bool = False  # agents are slots for vehicles that come and go, and may be empty
    distances: bool = True  # those between agents mean something, so that `radius` is allowed


# On an open road nobody has a position on a loop.
_MERGE = ScenarioTraits(
    collision="terminate", decision_interval=2, dt=0.5, observations=("gaps",), slots=True
)
# In the published experiment SUMO teleports a vehicle that collided; in Flow a collision ends the episode.
_SCENARIOS: dict[str, ScenarioTraits] = {
    "figure-eight": ScenarioTraits(collision="teleport"),
    "figure-eight-all": ScenarioTraits(collision="teleport"),
    "flow-figure-eight-0": ScenarioTraits(collision="terminate"),
    "flow-figure-eight-1": ScenarioTraits(collision="terminate"),
    "flow-figure-eight-2": ScenarioTraits(collision="terminate"),
    "flow-merge-0": _MERGE,
    "flow-merge-1": _MERGE,
    "flow-merge-2": _MERGE,
}
SCENARIOS = Registry("rsm.scenarios", _SCENARIOS, read_as(ScenarioTraits))
FLEET = "fleet-figure-eight"  # `fleet-figure-eight:<N>`: N loops with one learning vehicle each
MIXED_FLEET = "mixed-fleet"  # `mixed-fleet:<N>`: the same, of 14, 10 and 18 vehicles in turn
FLEETS = (FLEET, MIXED_FLEET)
# One loop must not end the others, and they lie apart.
FLEET_TRAITS = ScenarioTraits(collision="teleport", own_returns=True, distances=False)
MOST_LOOPS = 256
ATTACKS = ("sign-flip", "gaussian", "zero", "scaled", "stale", "alie", "ipm", "liar")
RULES = ("theorem2", "certified", "line-search", "trust-region", "fixed", "coin")


class TopologyTraits(NamedTuple):
    """A family of topologies: the names of its numbers, and the module that draws its graphs."""

    numbers: tuple[str, ...] = ()
    # a module of another package defines `graph`
    module: str = "rsm.exchange.topology"


_TOPOLOGIES: dict[str, TopologyTraits] = {
    "radius": TopologyTraits(("metres",)),
    "complete": TopologyTraits(),
    "ring": TopologyTraits(),
    "star": TopologyTraits(),
    "regular": TopologyTraits(("degree",)),
    "erdos-renyi": TopologyTraits(("probability",)),
    "small-world": TopologyTraits(("neighbours", "probability")),
    "random": TopologyTraits(("peers",)),  # drawn anew each round, unlike all others
}
TOPOLOGIES = Registry("rsm.topologies", _TOPOLOGIES, read_as(TopologyTraits))

_ENCODINGS = ("float32", "float16", "int8")
MOST_SENT = 0.5  # largest share of top-k: a value and its place take up to twice a value

# Numbers of a topology become part of run ids, file names and wildcards. float() alone would also accept
# spaces, underscores and the digits of other scripts.
_NUMBER = re.compile(r"(?!-0(\.0+)?$)-?([0-9]+(\.[0-9]+)?(e-?[0-9]+)?|inf|nan)")


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
            f"allowed: {topology_forms()}"
        )
    numbers = tuple(float(word) for word in raw)
    if family not in TOPOLOGIES or len(numbers) != len(TOPOLOGIES[family].numbers):
        raise ValueError(f"no such topology; allowed: {topology_forms()}")
    whole = all(number == int(number) for number in numbers[:1] if abs(number) < 1e9)
    match (family, numbers):
        case ("radius", (metres,)):
            if not 0 < metres < float("inf"):
                raise ValueError("the radius must be a finite number of metres above 0")
        case ("regular" | "random", (amount,)):
            if not (whole and 1 <= amount < 1e9):
                [name] = TOPOLOGIES[family].numbers
                raise ValueError(f"the {name} must be a whole number of at least 1")
        case ("erdos-renyi", (probability,)):
            if not 0 < probability <= 1:
                raise ValueError("the probability must be in (0, 1]")
        case ("small-world", (neighbours, probability)):
            if not (whole and 2 <= neighbours < 1e9 and 0 <= probability <= 1):
                raise ValueError(
                    "neighbours must be a whole number of at least 2, the probability in [0, 1]"
                )
            if neighbours % 2:
                raise ValueError(
                    "neighbours must be an even number: half of them are on either side"
                )
    return Topology(family, numbers)


class Encoding(NamedTuple):
    """A parsed encoding: its name, and the share of the parameters that top-k sends."""

    name: str
    share: float = 1.0


def parse_encoding(text: str) -> Encoding:
    """Parse `float32`, `float16`, `int8` or `topk:<share>`; raises ValueError naming what is allowed."""
    name, colon, number = text.partition(":")
    if not colon and name in _ENCODINGS:
        return Encoding(name)
    if name != "topk" or not _NUMBER.fullmatch(number):
        raise ValueError(f"no such encoding; allowed: {encoding_forms()}")
    share = float(number)
    if not 0 < share <= MOST_SENT:
        raise ValueError(
            f"the share must be above 0 and at most {MOST_SENT:g}, above which the whole is shorter"
        )
    return Encoding(name, share)


def encoding_forms() -> str:
    """Every encoding as it is written, for a message."""
    return f"{', '.join(_ENCODINGS)}, topk:<share>"


def parse_scenario(name: str) -> tuple[str, int]:
    """A scenario's family and its number of loops, e.g. ("fleet-figure-eight", 9).

    Raises ValueError naming what is allowed.
    """
    if name in SCENARIOS:
        return name, 1
    family, _, number = name.partition(":")
    if family in FLEETS and re.fullmatch(r"[1-9][0-9]{0,3}", number) and int(number) <= MOST_LOOPS:
        return family, int(number)
    raise ValueError(f"no such scenario; allowed: {scenario_forms()} (1 to {MOST_LOOPS} loops)")


def scenario_traits(name: str) -> ScenarioTraits:
    """What settings need to know of a scenario; raises ValueError as `parse_scenario` does."""
    family, _ = parse_scenario(name)
    return FLEET_TRAITS if family in FLEETS else SCENARIOS[family]


def check_extensions() -> None:
    """Raises ConfigError where an installed package adds a name that is ours, or another's."""
    for registry in (METHODS, SCENARIOS, TOPOLOGIES):
        _ = registry.installed


def scenario_forms() -> str:
    """Every scenario as it is written, for a message."""
    return ", ".join([*SCENARIOS, *(f"{family}:<loops>" for family in FLEETS)])


def topology_forms() -> str:
    """Every topology as it is written, for a message."""
    return ", ".join(
        ":".join([family, *(f"<{number}>" for number in traits.numbers)])
        for family, traits in TOPOLOGIES.items()
    )
