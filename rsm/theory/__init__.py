"""Checks of the theory: finite worlds with exact quantities, estimators against them, and traces of ζ.

A part is one command (`rsm theory PART --study theory`) and one Snakemake rule; the part `gate` is of any study
that measures its gate (`run.gate.replicas`). A workflow needs only the names below to list its
outputs; importing them is cheap.
"""

# Part → its figures, each as PDF, PNG and CSV in `results/<study>/figures/`.
FIGURES: dict[str, tuple[str, ...]] = {
    "exact": ("theorem1_bound", "theorem2_example", "theorem2_steps"),
    "estimators": ("advantage_estimators", "catching_up"),
    "training": ("zeta_scaling", "acceptance"),
    "gate": ("gate",),
}

# Part → its tables, each as CSV and Markdown in `results/<study>/tables/`.
TABLES: dict[str, tuple[str, ...]] = {
    "exact": ("theorem1", "theorem2", "theorem2_spreads"),
    "estimators": ("advantage_estimators", "catching_up"),
    "training": ("zeta_training", "zeta_gamma", "zeta_distance"),
    "gate": ("gate", "gate_states"),
}

PARTS: tuple[str, ...] = tuple(FIGURES)
# Parts of studies with `checks_theory`.
OF_THEORY: tuple[str, ...] = tuple(part for part in PARTS if part != "gate")


def other_files(part: str) -> list[str]:
    """What a part writes below the results of its study, beside the pictures (PNG) of its figures."""
    figures = [f"figures/{name}.{kind}" for name in FIGURES[part] for kind in ("pdf", "csv")]
    return figures + [f"tables/{name}.{kind}" for name in TABLES[part] for kind in ("csv", "md")]
