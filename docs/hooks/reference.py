"""Pages of the site made from code (settings, columns, commands, methods) or from pages of the root."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel

from rsm.cli.parser import parser
from rsm.config.catalogue import METHODS
from rsm.config.grid import Grid
from rsm.config.run import RunConfig, RunSettings
from rsm.config.study import Study
from rsm.runs import schema

ROOT = Path(__file__).parents[2]
CITED = re.compile(r"docs/([\w-]+)/([\w-]+)\.md")  # a page that a description cites


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {
        "settings": settings_page,
        "columns": columns_page,
        "commands": commands_page,
        "methods": methods_page,
    }
    for name, page in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    for name in ("CONTRIBUTING", "CHANGELOG"):
        files.append(File.generated(config, f"project/{name.lower()}.md", content=root_page(name)))
    return files


def root_page(name: str) -> str:
    """A page of the root of the repository; links to other pages are those of the site."""
    text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
    text = re.sub(
        r"\[[^\]]*\]\(docs/([\w/-]+)\.md", lambda link: link[0].replace("docs/", "../"), text
    )
    return re.sub(r"\((CONTRIBUTING|CHANGELOG)\.md", lambda link: link[0].lower(), text)


def settings_page() -> str:
    """Every setting of a run and every key of a study, from the models that check them."""
    schemas = RunConfig.model_json_schema() | Study.model_json_schema()
    known = schemas["$defs"] | RunConfig.model_json_schema()["$defs"]
    parts = [
        "# Settings",
        "A run file and the block `run` of a study hold these sections. A key that is left out has its "
        "default. Defaults are those of the published experiment, unless *not published* stands beside them. "
        "An unknown key is rejected, with the keys that are known. `rsm schema` prints the same as JSON "
        "schema, for editors.",
        "## The run itself",
        _settings(RunConfig, RunConfig.model_json_schema()["properties"], ("method", "seed")),
    ]
    for name, field in RunSettings.model_fields.items():
        section: Any = field.annotation
        parts += [f"## `{name}`", _prose(section.__doc__)]
        parts.append(_settings(section, known[section.__name__]["properties"]))
    parts += [
        "## A study",
        "A study file has these keys. `extends` names another study that it is laid upon.",
    ]
    parts.append(_settings(Study, Study.model_json_schema()["properties"]))
    parts += ["### `grid`, and each entry of `also`", _prose(Grid.__doc__)]
    parts.append(_settings(Grid, known["Grid"]["properties"]))
    return "\n\n".join(parts) + "\n"


def _settings(model: type[BaseModel], properties: dict[str, Any], only: Sequence[str] = ()) -> str:
    rows = []
    for name, field in model.model_fields.items():
        if only and name not in only:
            continue
        described = properties[name]
        default = "*required*" if field.is_required() else f"`{_value(field.default)}`"
        if "$ref" in described:  # settings of their own, which have a section
            default = "see there"
        rows.append((f"`{name}`", default, _allowed(described), described.get("description", "")))
    return _table(("key", "default", "allowed", "what it is"), rows)


def _value(default: Any) -> str:
    if isinstance(default, BaseModel):
        return "{}"
    return json.dumps(list(default) if isinstance(default, tuple) else default, ensure_ascii=False)


def _allowed(described: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "anyOf" in described:
        return " or ".join(_allowed(part) for part in described["anyOf"])
    if "enum" in described:
        return ", ".join("null" if value is None else f"`{value}`" for value in described["enum"])
    if "const" in described:
        return f"`{described['const']}`"
    kind = described.get("type", "string" if "pattern" in described else "mapping")
    if kind == "array":
        return f"list of: {_allowed(described.get('items', {}))}"
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
    }
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [
        f"{sign} {described[key]:,}".replace(",", " ")
        for key, sign in signs.items()
        if key in described
    ]
    return ", ".join([words.get(kind, kind), *limits])


def columns_page() -> str:
    """Every column of the tables of a run folder, and every key of its summary."""
    parts = ["# Tables and columns", _prose(schema.__doc__)]
    for name, columns in (schema.TABLES | schema.OPTIONAL).items():
        parts.append(f"## `{name}.parquet`")
        if name in schema.OPTIONAL:
            parts.append(OPTIONAL[name])
        parts.append(_columns(columns))
    parts += [
        "## `space_time/<run-id>.parquet`",
        "One held-out episode of a run, from `rsm trajectory`.",
    ]
    parts.append(_columns(schema.TRAJECTORY))
    parts.append("## `summary.json`")
    rows = [(f"`{key}`", text) for key, text in schema.SUMMARY.items()]
    parts.append(_table(("key", "what it is"), rows))
    return "\n\n".join(parts) + "\n"


OPTIONAL = {
    schema.GATE: "Only of runs that measure their gate (`gate.replicas`): a row per replica and judge.",
    schema.AGENTS: "Only of runs whose agents have a loop each (fleets): a row per evaluation and agent.",
}


def _columns(columns: dict[str, tuple[pa.DataType, str]]) -> str:
    rows = [
        (f"`{name}`", str(kind).replace("item: ", ""), text)
        for name, (kind, text) in columns.items()
    ]
    return _table(("column", "type", "what it is"), rows)


def commands_page() -> str:
    """Every command with its options, from the parser of the command line."""
    os.environ["COLUMNS"] = "90"  # the width at which argparse wraps
    top = parser()
    parts = [
        "# Commands",
        "`rsm COMMAND --help` prints the same. If the environment is not activated, call `.venv/bin/rsm`.",
        _table(("exit code", "meaning"), EXIT_CODES),
    ]
    for name, command in _commands(top):
        parts += [f"## `rsm {name}`", f"```text\n{command.format_help().strip()}\n```"]
    return "\n\n".join(parts) + "\n"


EXIT_CODES = (
    ("0", "success"),
    ("1", "a failure outside rsm (disk, SUMO, store), or a finding of `verify` or `doctor`"),
    ("2", "a mistake of the user, said in one line"),
    ("130, 143", "interrupted; stopped by SIGTERM"),
)


def _commands(top: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    # argparse has no public way to its subcommands.
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def methods_page() -> str:
    """What a method may use, and every method of ours."""
    modules = [traits.module for traits in METHODS.own.values()]
    parts = [
        "# API of methods",
        "A method is a module with two functions, `ask` and `mix`. [Extending](../how-to/extending.md) adds "
        "one from another package. [The algorithm](../concepts/algorithm.md#methods) says what ours do.",
        "## What a method sees",
        "::: rsm.methods.context",
        "::: rsm.exchange.replicas",
        "## The methods",
        *(f"::: {module}" for module in dict.fromkeys(modules)),
    ]
    return "\n\n".join(parts) + "\n"


def _prose(text: str | None) -> str:
    """A docstring as Markdown; pages that it cites become links."""
    lines = [line.strip() for line in (text or "").strip().splitlines()]
    return _linked("\n".join(lines))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[_linked(_plain(cell)).replace("|", "\\|") for cell in row] for row in rows]
    lines = [heads, ["---"] * len(heads), *cells]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f'<div class="described" markdown>\n\n{table}\n\n</div>'


def _plain(text: str) -> str:
    """Text without HTML: `<loops>` outside code would be taken for a tag."""
    parts = text.split("`")  # every second one is code
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _linked(text: str) -> str:
    return CITED.sub(lambda cited: f"[{cited[2]}](../{cited[1]}/{cited[2]}.md)", text)
