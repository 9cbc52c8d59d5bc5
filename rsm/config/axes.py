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
    word: Callable[[Any], str]  # of a value in a run id
    usual: tuple[Any, ...] = ()  # values that run ids leave out


def _topology_word(text: str) -> str:
    family, *numbers = text.split(":")
    return family + "-".join(numbers)


# In the order of the words of a run id.
AXES = (
    Axis("rule", "mixing.rule", "rules", lambda m: m.judged, str, ("theorem2",)),
    Axis(
        "published_code",
        "mixing.published_code",
        "published_code",
        lambda m: m.judged,
        "code-{}".format,
        (None,),
    ),
    Axis("judge", "mixing.judge", "judges", lambda m: m.judged, str, ("own",)),
    Axis("topology", "communication.topology", "topologies", lambda m: m.topology, _topology_word),
    Axis("segments", "communication.segments", "segments", lambda m: m.segments, "p{}".format),
    Axis("replicas", "communication.replicas", "replicas", lambda m: m.segments, "k{}".format),
    Axis("share", "communication.share", "share", lambda m: m.exchanges, str, ("actor",)),
    Axis(
        "loss_rate",
        "communication.loss_rate",
        "loss_rates",
        lambda m: m.exchanges,
        "loss{:g}".format,
        (0.0,),
    ),
)


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
