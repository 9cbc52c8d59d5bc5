"""`rsm verify --archive`: checks that an archive is consistent, on any machine."""

from __future__ import annotations

import math
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from rsm.config.loading import load_yaml
from rsm.config.shipped import RESOLVED
from rsm.config.study import Study, load_study
from rsm.errors import ConfigError, one_line, shown
from rsm.runs.archive import checksums, opened
from rsm.runs.folder import read_summary

RELATIVE = 1e-9  # tolerance for sums in another order
# Driving again is exact on the machine and versions that trained; elsewhere traffic is chaotic (rsm verify).
EXACT, ELSEWHERE = 1e-6, 0.06
COMPARED = ("main.csv", "runs.csv", "differences.csv")

Verdict = tuple[bool, str]


def verify_archive(path: Path, only: list[str] | None = None) -> int:
    """Print a verdict per line and return 1 where something differs.

    Checksums; tables and the data of figures, computed anew from the run folders; and of each configuration the
    run of median return (or the runs in `only`), whose policies drive their last evaluation once more. Raises
    ConfigError for what is no archive, and for an unknown run.
    """
    wrong = 0
    with tempfile.TemporaryDirectory() as place, opened(path, "--archive") as archive:
        checked, bad = checksums(archive)
        for name in bad:
            print(f"DIFFERS {one_line(name)}: its checksum does not match", flush=True)
        if bad:
            return 1
        print(f"agrees  {checked} checksums", flush=True)
        study, results = unpacked(archive, Path(place))
        chosen = chosen_runs(study, results, only)
        for good, text in (
            *tables_again(study, results), *figures_again(study, results), *driven_again(results, chosen)
        ):  # fmt: skip
            wrong += not good
            print(f"{'agrees ' if good else 'DIFFERS'} {text}", flush=True)
    return int(wrong > 0)


def unpacked(archive: zipfile.ZipFile, place: Path) -> tuple[Study, Path]:
    """The study of an archive, and the folder with its results as in `results/NAME`."""
    first = place / "first"
    try:
        archive.extract(RESOLVED, first)
    except KeyError:
        raise ConfigError(
            f"--archive: {one_line(archive.filename)} is not allowed: it has no {RESOLVED}"
        ) from None
    name = str(load_yaml(first / RESOLVED).get("name"))
    results = place / Path(name).name
    for member in archive.namelist():  # zipfile makes no links and nothing above the folder
        archive.extract(member, results)
    return load_study(results / RESOLVED), results


def chosen_runs(study: Study, results: Path, only: list[str] | None) -> list[str]:
    """The runs in `only`; else of each configuration that learned the finished one of median final return."""
    runs = study.runs()
    for run_id in only or ():
        if run_id not in runs:
            raise ConfigError(
                f"--only: {shown(run_id)} is not allowed: the archive has {len(runs)} runs, such as "
                f"{next(iter(runs))}"
            )
    if only:
        return only
    by_configuration: dict[str, list[tuple[float, str]]] = {}
    for run_id, config in runs.items():
        summary = read_summary(results / "runs" / run_id)
        if config.learns and summary is not None and summary.get("final_return") is not None:
            entry = (float(summary["final_return"]), run_id)
            by_configuration.setdefault(config.configuration, []).append(entry)
    return [sorted(found)[len(found) // 2][1] for found in by_configuration.values()]


def tables_again(study: Study, results: Path) -> Iterator[Verdict]:
    """The tables computed again and compared with those of the archive."""
    from rsm.analysis.aggregate import write_tables

    places = [results / "tables" / name for name in COMPARED]
    before = {path: pd.read_csv(path) for path in places if path.is_file()}
    write_tables(study, results)
    for path, archived in before.items():
        yield same_table(f"tables/{path.name}", archived, pd.read_csv(path))


def figures_again(study: Study, results: Path) -> Iterator[Verdict]:
    """The data of the figures computed again and compared with those of the archive."""
    import io

    from rsm.analysis import FIGURES, figures
    from rsm.analysis.load import load_runs

    runs = load_runs(study, results / "runs")
    for path in sorted((results / "figures").glob("*.csv")):
        if path.stem in FIGURES:
            text = figures.module(path.stem).data(runs).to_csv(index=False)
            yield same_table(
                f"figures/{path.name}", pd.read_csv(path), pd.read_csv(io.StringIO(text))
            )


def same_table(name: str, archived: pd.DataFrame, computed: pd.DataFrame) -> Verdict:
    """Whether every number of the archive is computed again; a later rsm may have more columns."""
    if gone := [column for column in archived if column not in computed]:
        return False, f"{name}: no longer computed: {', '.join(map(str, gone))}"
    later = len(computed.columns) - len(archived.columns)
    try:
        common = computed[list(archived.columns)]
        pd.testing.assert_frame_equal(archived, common, rtol=RELATIVE, check_dtype=False)
    except AssertionError as error:
        return False, f"{name}: {one_line(' '.join(str(error).split()))}"
    rows, columns = archived.shape
    more = f"; {later} columns were added by a later rsm" if later else ""
    return True, f"{name}: {rows} rows of {columns} columns{more}"


def driven_again(results: Path, runs: list[str]) -> Iterator[Verdict]:
    """The last evaluation of runs, driven once more with the policies of the archive."""
    import pyarrow.parquet as pq

    from rsm.traffic.environment import TrafficEnv
    from rsm.training.drivers import load_driver
    from rsm.training.evaluation import drive_episode

    for run_id in runs:
        folder = results / "runs" / run_id
        rows = pq.read_table(folder / "evaluations.parquet").to_pandas()
        rows = rows[(rows["mode"] == "deterministic") & (rows["episode"] == rows["episode"].max())]
        config, driver = load_driver(folder)
        with TrafficEnv(config.driven) as env:
            driven = [drive_episode(env, driver, int(seed))["return"] for seed in rows["eval_seed"]]
        mean, archived = sum(driven) / len(driven), float(rows["return"].mean())
        difference = abs(mean - archived)
        exact = math.isclose(difference, 0.0, abs_tol=EXACT)
        how = "to the last digit" if exact else f"within {ELSEWHERE:g}, as on other machines"
        good = difference <= ELSEWHERE
        yield (
            good,
            (
                f"runs/{run_id}: last evaluation repeated: return {mean:.6f}, archived {archived:.6f}"
                + (f" ({how})" if good else f", more than {ELSEWHERE:g} apart")
            ),
        )
