"""Names of configurations in legends, tables and on axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rsm.analysis.worlds import takes_time, worlds
from rsm.config.axes import AXES, of_world, setting
from rsm.config.catalogue import CONTROL, METHODS, parse_topology
from rsm.config.run import RunConfig, varied_word

# The axes that legends name; figures have places of their own for the others.
_NAMED = {axis.name: axis for axis in AXES if axis.label is not None}
_MODE = "communication.mode"
_START = "init_from.run"
MODES = {"synchronous": "sync", "asynchronous": "async"}


def labels(configs: Iterable[RunConfig]) -> dict[str, str]:
    """Configuration → label of its method, with the settings that distinguish it from others of that method.

    Topology and P have axes of their own and are left out. What is not the usual value of its axis
    (`rsm.config.axes`) is named even where it does not vary: `rsm (trust-region)`. The world stands last, where
    runs of the method are in several.
    """
    every = list(configs)
    where, keys = worlds(every), dict[str, dict[str, None]]()
    short = _methods_of({_value(config, _START) for config in every})
    for config in every:
        keys.setdefault(config.method, {}).update(dict.fromkeys(config.varied))
    varied: dict[str, dict[str, set[Any]]] = {}
    for config in every:
        seen = varied.setdefault(config.method, {})
        for name, value in _traits(config, keys[config.method], where).items():
            seen.setdefault(name, set()).add(value)
    result = {}
    for config in every:
        words = [
            short.get(value, value) if name == _START else _word(name, value)
            for name, value in _traits(config, keys[config.method], where).items()
            if len(varied[config.method][name]) > 1 or _always_named(name, value)
        ]
        result[config.configuration] = (
            f"{config.method} ({', '.join(words)})" if words else config.method
        )
    return result


def _methods_of(starts: Iterable[str]) -> dict[str, str]:
    """What a run begins with → its method alone, as `from rsm`, where that tells the starts apart."""
    names = sorted(METHODS, key=len, reverse=True)  # segment-average before average
    found = {}
    for start in starts:
        source = start.removeprefix("from ")
        method = next((name for name in names if f"{source}-".startswith(f"{name}-")), source)
        found[start] = f"from {method}"
    several = Counter(found.values())
    return {start: text for start, text in found.items() if several[text] == 1}


def _always_named(name: str, value: Any) -> bool:
    """Unusual values are named, and settings that a grid varies without an axis of their own."""
    if name == "world":
        return False
    if name not in _NAMED:
        return True
    usual = _NAMED[name].usual
    return bool(usual) and value not in usual


def without(label: str, word: str) -> str:
    """A label of `labels` with one word fewer: `rsm (theorem2, actor)` → `rsm (theorem2)`."""
    method, _, rest = label.partition(" (")
    words = [known for known in rest.removesuffix(")").split(", ") if known not in (word, "")]
    return f"{method} ({', '.join(words)})" if words else method


def _traits(
    config: RunConfig, keys: Iterable[str], where: Mapping[str, str | None]
) -> dict[str, Any]:
    """Settings, beside topology and P, in which configurations of a method differ, in the order of a label."""
    found = {name: config.axes[name] for name in _NAMED if config.axes[name] is not None}
    if takes_time(config):  # losses are of the world
        found.pop("loss_rate", None)
    if "published_code" in found:  # which has a ζ of its own
        found.pop("rule")
    if config.mixing.rule == "coin" and found.get("judge") == "own":  # nobody's word decides
        found.pop("judge")
    # What a grid varies for some runs of the method is named for all that it makes a difference to.
    found |= {
        key: _value(config, key) for key in keys if not of_world(key) and _matters(config, key)
    }
    return found | {"world": where[config.configuration]}


def _matters(config: RunConfig, key: str) -> bool:
    """Whether a setting decides anything of a run: δ does where the rule has one."""
    has_limit = config.mixing.rule in ("line-search", "trust-region", "coin")
    return key in config.varied or key != "mixing.kl_limit" or has_limit


def _value(config: RunConfig, key: str) -> Any:
    """A setting that a grid varies; where a run begins, without the seed."""
    value = setting(config, key)
    return varied_word(key, value).replace("-", " ", 1) if key == _START else value


def _word(name: str, value: Any) -> str:
    if name == "world":
        return str(value)
    if name == _MODE:
        return MODES[value]
    if name not in _NAMED:  # a dotted key
        return f"{name.rpartition('.')[2].replace('_', ' ')} {value}"
    label = _NAMED[name].label
    return label(value) if label else str(value)


def identity(config: RunConfig, label: str, world: str | None) -> dict[str, Any]:
    """The axes of a run as columns; None where they do not apply to its method."""
    exchanges = METHODS.get(config.method, CONTROL).exchanges
    return {
        "run_id": config.run_id,
        "configuration": config.configuration,
        "label": label,
        "world": world,
        "communication_mode": config.communication.mode if exchanges else None,
        "begins": varied_word(_START, config.begins_from) if config.learns else None,
        "method": config.method,
        "control": not config.learns,
        **config.axes,
        "seed": config.seed,
    }


def topology_cell(value: object) -> str:
    """The topology of a row of a table, in words; a dash where its method has none."""
    return topology_label(value) if isinstance(value, str) else "–"


def topology_label(text: str) -> str:
    """A topology as it stands on an axis, e.g. `radius:90` → `radius 90 m`."""
    family, numbers = parse_topology(text)
    words = [f"{number:g}" for number in numbers]
    match family:
        case "radius":
            return f"radius {words[0]} m"
        case "random":
            return f"{words[0]} random peers"
        case "regular":
            return f"{words[0]}-regular"
        case "erdos-renyi":
            return f"Erdős–Rényi {words[0]}"
        case "small-world":
            return f"small world ({words[0]}, {words[1]})"
        case _:
            return " ".join([family, *words])
