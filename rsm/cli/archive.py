"""`rsm archive`: a finished study as one file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsm.cli.options import Command, study_option
from rsm.cli.studies import RESULTS, finished_study
from rsm.cli.writing import writing
from rsm.config.shipped import RESOLVED, shipped
from rsm.errors import ConfigError, one_line

if TYPE_CHECKING:
    from rsm.config.study import Study

SHIPPED = ("Snakefile", "environment.yml", "constraints.txt", "constraints-torch.txt", "workflow")
README = """# rsm, study {name}

{description}

- `study.yaml`: the study with every default; `runs/`: one folder per run (settings, manifest, tables, policies)
- `tables/main.md`, `figures/`, `claims.csv`: results; `Snakefile`, `workflow/`: the workflow
- `environment.yml`, `constraints*.txt`: exact versions; `ro-crate-metadata.json`: machine-readable metadata

With rsm {version} installed:

    rsm verify --archive FILE.zip            # check sums, tables and figures, and repeat an evaluation
    rsm evaluate --controller FILE.zip::RUN  # drive with the policies of a run
"""


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    pack = command(
        "archive", run_archive, "write a finished study as one zip, an RO-Crate for others"
    )
    study_option(pack)
    pack.add_argument("--out", type=Path, metavar="FILE.zip", help="default: results/STUDY.zip")

    policies = command(
        "policies",
        run_policies,
        "write policies of a finished study small enough to be committed",
    )
    study_option(policies)
    policies.add_argument("--out", type=Path, required=True, metavar="DIR")


def run_archive(options: argparse.Namespace) -> None:
    from rsm.runs.archive import result_files, write_archive

    study = finished_study(options.study)
    results = RESULTS / study.name
    out = options.out or RESULTS / f"{study.name}.zip"
    if out.suffix != ".zip":
        raise ConfigError(f"--out: {one_line(out)} is not allowed: it must end in .zip")
    for needed in (RESOLVED, "tables/main.csv"):
        if not (results / needed).is_file():
            raise ConfigError(
                f"--study: {study.name} is not allowed: {results / needed} is not there: run the study first"
            )
    files = result_files(results) | shipped_files()
    with writing("--out", out):
        write_archive(out, files, texts(study, results, files))
    print(f"{out}: {len(files)} files, {out.stat().st_size / 1e6:.1f} MB")


def shipped_files() -> dict[str, Path]:
    """Name in the archive → file of the workflow and its environment."""
    found = {}
    for name in SHIPPED:
        path = shipped(name)
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in below:
            if file.is_file() and "__pycache__" not in file.parts:
                found[(name / file.relative_to(path)).as_posix() if path.is_dir() else name] = file
    return found


def texts(study: Study, results: Path, files: dict[str, Path]) -> dict[str, str]:
    """What is written for the archive alone: README.md, the claims of this study, and the metadata."""
    import pandas as pd

    from rsm import __version__
    from rsm.analysis.claims import Finding, findings
    from rsm.runs.crate import METADATA, metadata
    from rsm.runs.folder import read_summary

    claims = findings([results.parent], study.name)
    table = pd.DataFrame(claims, columns=list(Finding._fields))
    made = {
        "README.md": README.format(
            name=study.name, description=study.description, version=__version__
        ),
        "claims.csv": table.to_csv(index=False, lineterminator="\n"),
    }
    runs = {run_id: read_summary(results / "runs" / run_id) for run_id in study.runs()}
    there = {
        run_id: summary for run_id, summary in runs.items() if f"runs/{run_id}/config.yaml" in files
    }
    times, packages = _made_with(results, there)
    about = metadata(study, sorted({*files, *made}), there, times, packages)
    made[METADATA] = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    return made


def _made_with(results: Path, runs: dict[str, Any]) -> tuple[tuple[str, str], dict[str, str]]:
    """When the first run began and the last one ended, and the versions that made them, from the manifests."""
    from importlib.metadata import version

    from rsm.runs.files import read_json

    manifests = [read_json(results / "runs" / run_id / "manifest.json") or {} for run_id in runs]
    began = [one["started"] for one in manifests if "started" in one]
    ended = [one["ended"] for one in manifests if "ended" in one]
    packages = {"snakemake": version("snakemake")}
    for one in manifests:
        packages |= {"rsm": str(one.get("rsm"))} | {
            name: str(found) for name, found in one.get("packages", {}).items()
        }
    if not (began and ended):
        raise ConfigError(f"--study: {results} has no finished run: run the study first")
    return (min(began), max(ended)), packages


def run_policies(options: argparse.Namespace) -> None:
    from rsm.runs.few_policies import write_policies

    study = finished_study(options.study)
    with writing("--out", options.out / "policies.csv"):
        paths = write_policies(study.runs(), RESULTS / study.name / "runs", options.out)
    size = sum(path.stat().st_size for path in paths)
    print(f"{options.out}: {len(paths)} files, {size / 1e6:.2f} MB")
