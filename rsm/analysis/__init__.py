"""Tables and figures of finished runs, independent of the code that trained them.

The names below are all that a workflow needs to list its outputs; importing them is cheap.
"""

from rsm.config.extensions import Registry

# Ours are a module of rsm.analysis.figures each, in this order; installed packages add theirs.
_FIGURES = (
    "learning_curves",
    "differences",
    "return_vs_bytes",
    "pareto",
    "segments",
    "topologies",
    "who_gains",
    "zeta",
    "trust",
    "barrier",
    "staleness",
    "exchange_heatmaps",
    "profiles",
    "space_time",
)
FIGURES: Registry[str] = Registry(
    "rsm.figures",
    {name: f"rsm.analysis.figures.{name}" for name in _FIGURES},
    lambda entry: entry.value,
    names="[a-z][a-z0-9_]*",
)

# Files that `rsm.analysis.aggregate.write_tables` leaves in `results/<study>/tables/`.
TABLES: tuple[str, ...] = (
    "main.html",
    "main.csv",
    "main.md",
    "main.tex",
    "runs.csv",
    "differences.csv",
    "differences.md",
    "groups.csv",
    "groups.md",
    "trust.csv",
    "trust.md",
    "pareto.csv",
    "pareto.md",
    "barrier.csv",
    "barrier.md",
    "manifests.jsonl",
    "marl_eval.json",
    "settings.html",
)

# Files per figure that `rsm.analysis.aggregate.write_figures` leaves in `results/<study>/figures/`.
FORMATS: tuple[str, ...] = ("pdf", "png", "csv")
