"""What a grid can vary between runs, in one table that settings, run ids, columns and tags follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rsm.config.catalogue import MethodTraits


class Axis(NamedTuple):
    """One setting with a key of its own in a grid, and a column of its own in tables."""

    name: str  # of the column, the tag and the key of summary.json
    setting: str  # dotted key of a run's settings
    grid: str  # key of a grid, which lists values
    has: Callable[[MethodTraits], bool]  # whether runs of a method differ by it
    meaning: str  # of the column
    word: Callable[[Any], str]  # of a value in a run id
    usual: tuple[Any, ...] = ()  # values that run ids and legends leave out
    # Of a value in a legend; None: figures have an axis of their own for it.
    label: Callable[[Any], str] | None = None


def _topology_word(text: str) -> str:
    family, *numbers = text.split(":")
    return family + "-".join(numbers)


# In the order of the words of a run id.
AXES = (
    Axis(
        "rule", "mixing.rule", "rules", lambda m: m.judged,
        "how ζ is found; null where the method has no ζ", str, ("theorem2",), str,
    ),
    Axis(
        "published_code", "mixing.published_code", "published_code", lambda m: m.judged,
        "public version of the code by which replicas are judged; null: the method as written",
        "code-{}".format, (None,), "code {}".format,
    ),
    Axis(
        "judge", "mixing.judge", "judges", lambda m: m.judged,
        "whose critics judge, own or peers; null where the method has no ζ",
        str, ("own",), "judged by {}".format,
    ),
    Axis(
        "topology", "communication.topology", "topologies", lambda m: m.topology,
        "topology; null where the method has none", _topology_word,
    ),
    Axis(
        "segments", "communication.segments", "segments", lambda m: m.segments,
        "P; null where the method has none", "p{}".format,
    ),
    Axis(
        "replicas", "communication.replicas", "replicas", lambda m: m.segments,
        "K; null where the method has none", "k{}".format, (), "K = {}".format,
    ),
    Axis(
        "share", "communication.share", "share", lambda m: m.exchanges,
        "actor or actor+critic; null where nothing is shared", str, ("actor",), str,
    ),
    Axis(
        "encoding", "communication.encoding", "encodings", lambda m: m.exchanges,
        "encoding of parameters: float32, float16, int8 or topk:<share>; null where nothing is shared",
        lambda text: text.replace(":", ""), ("float32",), str,
    ),
    Axis(
        "loss_rate", "communication.loss_rate", "loss_rates", lambda m: m.exchanges,
        "probability that a frame is lost; null where nothing is shared", "loss{:g}".format, (0.0,),
        lambda rate: f"{100 * rate:g} % loss",
    ),
)  # fmt: skip


# Sections of settings, and single ones.
_WORLD = (
    "slow.", "restarts.", "churn.", "attack.", "communication.delay", "communication.bandwidth",
)  # fmt: skip


def of_world(key: str) -> bool:
    """Whether a dotted setting is one of the world that agents are in, and not of the method."""
    return key == "traffic.scenario" or key.startswith(_WORLD)


def setting(settings: Any, dotted: str) -> Any:
    """The value under a dotted key of nested models; raises AttributeError for one that does not exist."""
    for part in dotted.split("."):
        settings = getattr(settings, part)
    return settings


def assign(content: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a dotted key in a nested mapping."""
    *path, last = dotted.split(".")
    for part in path:
        content = content.setdefault(part, {})
    content[last] = value
