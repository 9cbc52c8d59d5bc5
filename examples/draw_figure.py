"""Draw two figures of the finished runs of a study: one that comes with rsm, and one of your own.

    python examples/draw_figure.py results/two-methods

The folder is that of a study, or of examples/train_two_methods.py. A figure of your own that belongs in every
report is better added as a package; docs/how-to/extending.md shows how.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from rsm.analysis.facets import evaluation_curves
from rsm.analysis.figures import save
from rsm.analysis.load import load_runs
from rsm.config.study import RESOLVED, load_study


def main(folder: Path) -> list[Path]:
    """Draw into `<folder>/figures`; returns the files."""
    study = load_study(folder / RESOLVED)
    runs = load_runs(study, folder / "runs")
    paths = save("learning_curves", runs, folder / "figures")  # CSV, PDF and PNG

    # Interquartile means over seeds at every evaluation; below five seeds, rows of each seed follow.
    curves = evaluation_curves(runs, runs.finished)
    figure = Figure(layout="constrained")
    axis = figure.subplots()
    for label, curve in curves.groupby("label", sort=False):
        mean = curve[curve["seed"].isna()]
        (line,) = axis.plot(mean["bytes_sent"] / 1e6, mean["return"], label=label)
        seeds = curve[curve["seed"].notna()]
        axis.plot(seeds["bytes_sent"] / 1e6, seeds["return"], ".", color=line.get_color())
    axis.set(
        xlabel="bytes sent (MB)", ylabel="return", title=f"{study.name}: line IQM, points seeds"
    )
    axis.legend()
    own = folder / "figures" / "own.png"
    figure.savefig(own)
    for path in (*paths, own):
        print(path)
    return [*paths, own]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
