"""Settings as YAML: any file is read safely, and the first mistake is reported in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from rsm.errors import ConfigError, KeyedError, one_line, shown

_LARGEST_FILE = 1_000_000  # characters read at most; /dev/zero never ends
# The core schema of YAML 1.2. PyYAML follows YAML 1.1, which reads 010 as 8, 1:30 as 90, no as false
# and 3e-4 as text.
_NULL, _BOOL, _INT, _FLOAT = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")
)
_PLAIN = {
    _NULL: r"~|null|Null|NULL|",
    _BOOL: r"true|True|TRUE|false|False|FALSE",
    _INT: r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    _FLOAT: r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises ConfigError for anything else."""
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

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # none of YAML 1.1

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

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Loader.add_constructor(_INT, _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever `_Loader`, or a reader of YAML 1.1, would not read as the text that it is."""


for _tag, _pattern in _PLAIN.items():
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), None)


def plain_value(text: str) -> Any:
    """What a word without quotes is: null, a truth value, a number, or the text itself."""
    loader = _Loader("")
    node = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, text, (True, False)), text)
    return loader.construct_object(node)


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
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):  # an installed package is broken, whatever the setting
        return str(cause)
    if isinstance(cause, KeyedError):
        return f"{source}: {cause.key}: {shown(cause.value)} is not allowed: {cause}"
    if first["type"] == "missing":
        return f"{source}: {key}: it is missing, and required"
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_keys_at(model, first["loc"][:-1]))
        return f"{source}: {key}: unknown key (value {shown(first['input'])}); allowed: {allowed}"
    return f"{source}: {key}: {shown(first['input'])} is not allowed: {_expected(first)}"


# Error types of pydantic whose own text names Python types: what to say instead.
_WORDS = {
    "int_type": "an integer is expected",
    "int_from_float": "an integer is expected",
    "float_type": "a number is expected",
    "finite_number": "a finite number is expected",
    "bool_type": "true or false is expected",
    "string_type": "a string is expected",
    "invalid_key": "a key must be a string",
    "tuple_type": "a list is expected",
    "dict_type": "a mapping is expected",
    "model_type": "a mapping is expected",
    "too_short": "at least {min_length} items are expected",
    "too_long": "at most {max_length} items are expected",
    "string_too_long": "at most {max_length} characters are expected",
    "string_pattern_mismatch": "lower-case letters, digits and hyphens are expected: the pattern {pattern}",
}


def _expected(mistake: Any) -> str:
    """What is allowed, in words."""
    if (words := _WORDS.get(mistake["type"])) is not None:
        return words.format(**mistake.get("ctx", {}))
    return (
        str(mistake["msg"]).removeprefix("Value error, ").replace("Input should be", "it must be")
    )


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys of the settings at a place in the tree of models."""
    for part in place:
        if isinstance(part, int):  # an index into a list, whose entries all have the same keys
            continue
        below = model.model_fields[part].annotation
        model = next(
            kind
            for kind in (below, *get_args(below))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return list(model.model_fields)
