"""Studies on the command line: finding and resolving one, and the JSON schema of study files."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.cli.options import Command, override_option, study_option
from rsm.cli.writing import writing
from rsm.config.shipped import RESOLVED
from rsm.errors import ConfigError, shown

if TYPE_CHECKING:  # its models load in a third of a second, which `rsm status` has not
    from rsm.config.study import Study

RESULTS = Path("results")


def named_study(text: str, overrides: str = "{}") -> Study:
    """A study by its name, or by the path of its file, overridden by `--set`; raises ConfigError."""
    from rsm.config.loading import parse_yaml
    from rsm.config.study import load_study, study_file

    return load_study(study_file(text), parse_yaml(overrides, "--set"))


def resolved_by_name(text: str) -> Path | None:
    """The resolved study beside the results of that name; None where there is none."""
    by_name = RESULTS / text / RESOLVED
    is_name = text not in ("", ".", "..") and os.sep not in text
    return by_name if is_name and os.path.isfile(by_name) else None


def finished_study(text: str) -> Study:
    """The study as it was run: the resolved one beside its results if there is one, else the file itself."""
    from rsm.config.study import load_study

    if (by_name := resolved_by_name(text)) is not None:
        study = load_study(by_name)
        if study.name != text:
            raise ConfigError(
                f"{by_name}: name: {shown(study.name)} is not allowed: {text!r} is expected"
            )
        return study
    study = named_study(text)
    resolved = RESULTS / study.name / RESOLVED
    return load_study(resolved) if os.path.isfile(resolved) else study


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    resolve = command(
        "resolve", run_resolve, "write a study with all defaults and overrides resolved"
    )
    study_option(resolve)
    override_option(resolve)
    resolve.add_argument("--out", type=Path, required=True, metavar="FILE")

    command("schema", run_schema, "print the JSON schema of a study")


def run_resolve(options: argparse.Namespace) -> None:
    from rsm.config.loading import dump_yaml
    from rsm.runs.files import write_text

    text = dump_yaml(named_study(options.study, options.set))
    with writing("--out", options.out):
        write_text(options.out, text)


def run_schema(options: argparse.Namespace) -> None:
    from rsm.config.study import Study

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    print(json.dumps(dialect | Study.model_json_schema(), indent=2, ensure_ascii=False))
