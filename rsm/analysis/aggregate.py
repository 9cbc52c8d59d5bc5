"""Tables and figures of a study from its finished runs, for commands and Snakemake rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsm.analysis import FIGURES, FORMATS, TABLES, figures
from rsm.analysis.load import load_runs, one_device
from rsm.config.study import Study
from rsm.errors import ConfigError
from rsm.runs.files import write_csv, write_json, write_text


def table_files(results: Path) -> list[Path]:
    """The files that `write_tables` leaves, without writing them."""
    return [results / "tables" / name for name in TABLES]


def figure_files(results: Path, only: Sequence[str] | None = None) -> list[Path]:
    """The files that `write_figures` leaves, without writing them."""
    names = only if only is not None else FIGURES
    return [results / "figures" / f"{name}.{suffix}" for name in names for suffix in FORMATS]


def write_tables(study: Study, results: Path) -> list[Path]:
    """Write the tables of `study`, whose runs lie in `results/runs`, to `results/tables`.

    Missing and failed runs are shown as such. Raises ConfigError where a run folder has other settings
    than the study, or cannot be read, and where runs that learn were computed on different kinds of device.
    """
    from rsm.analysis import barrier, differences, export, groups, pareto, tables, trust

    runs = load_runs(study, results / "runs")
    one_device(runs)
    table = tables.main_table(runs)
    folder = results / "tables"
    write_text(folder / "main.html", export.html(table, runs))
    write_csv(folder / "main.csv", table)
    write_text(folder / "main.md", export.markdown(table, runs))
    write_text(folder / "main.tex", export.latex(table, runs))
    write_csv(folder / "runs.csv", tables.runs_table(runs))
    ahead = differences.differences(runs)
    write_csv(folder / "differences.csv", ahead)
    write_text(folder / "differences.md", differences.markdown(ahead, runs.study))
    apart = groups.groups(runs)
    write_csv(folder / "groups.csv", apart)
    write_text(folder / "groups.md", groups.markdown(apart, runs.study))
    trusted = trust.table(runs)
    write_csv(folder / "trust.csv", trusted)
    write_text(folder / "trust.md", trust.markdown(trusted, runs.study))
    costs = pareto.table(runs)
    write_csv(folder / "pareto.csv", costs)
    write_text(folder / "pareto.md", pareto.markdown(costs, runs.study))
    waits = barrier.table(runs)
    write_csv(folder / "barrier.csv", waits)
    write_text(folder / "barrier.md", barrier.markdown(waits, runs))
    write_text(folder / "manifests.jsonl", export.manifests(runs))
    write_json(folder / "marl_eval.json", export.marl_eval(runs))
    write_text(folder / "settings.html", export.settings(study))
    return table_files(results)


def write_figures(study: Study, results: Path, only: Sequence[str] | None = None) -> list[Path]:
    """Draw the figures of `study` named in `only` (all by default) into `results/figures`.

    Raises ConfigError for an unknown figure, before anything is drawn, and as `write_tables`.
    """
    names = list(FIGURES if only is None else only)
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise ConfigError(
            f"figure: {unknown[0]!r} is not allowed: known figures: {', '.join(FIGURES)}"
        )
    runs = load_runs(study, results / "runs")
    one_device(runs)
    for name in names:
        figures.save(name, runs, results / "figures")
    return figure_files(results, names)
