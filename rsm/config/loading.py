"""Settings as YAML: read whatever a file can be, and name the first mistake in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from rsm.errors import ConfigError, KeyedError, one_line, shown

_LARGEST_FILE = 1_000_000  # characters of a settings file; /dev/zero has no end
# Floats of YAML 1.2 and of JSON that PyYAML, which is of YAML 1.1, takes for text: 3e-4, 1.5e3, -.5
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+|\.[0-9]+([eE][-+]?[0-9]+)?)$")


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


class _Dumper(yaml.SafeDumper):
    """Quotes whatever `_Loader` would not read as the text that it is."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


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


def dump_yaml(model: BaseModel) -> str:
    """The resolved settings as YAML, defaults included, keys in the order of the models."""
    content = model.model_dump(mode="json")
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line for the first mistake pydantic found in `model`: place, key, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    key = one_line(".".join(str(part) for part in first["loc"])) or "(top level)"
    message = first["msg"].removeprefix("Value error, ")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):  # of an installed package, whatever the setting
        return str(cause)
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
