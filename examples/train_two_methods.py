"""Train two methods on the same seeds and compare them, in about a minute.

    python examples/train_two_methods.py results/two-methods

The folder gets the layout of a study, so `rsm tables`, `rsm figures` and examples/draw_figure.py can read it.
The runs are far too short to say anything about the methods.
"""

import sys
from pathlib import Path

from rsm.analysis.load import load_runs
from rsm.config.loading import dump_yaml
from rsm.config.study import RESOLVED, parse_study
from rsm.runs.files import write_text
from rsm.training.run import train

METHODS = ("independent", "rsm")
# Only what differs from the published settings.
SETTINGS = {
    "traffic": {"decision_interval": 10, "horizon": 300},
    "sac": {"hidden": [32, 32], "learning_starts": 60, "update_every": 1, "batch_size": 64},
    "mixing": {"states": 64, "recent": 200},
    "evaluation": {"every": 2, "episodes": 1, "control_episodes": 1},
}


def main(folder: Path, episodes: int = 20) -> dict[str, list[float]]:
    """Train every method on two seeds; returns method → final return of each seed, in [0, 1]."""
    study = parse_study(
        {
            "name": folder.name,
            "description": "Two methods, two seeds.",
            "seeds": [0, 1],
            "grid": {"methods": METHODS, "rules": ["trust-region"]},
            "run": SETTINGS | {"training": {"episodes": episodes}},
        },
        "examples/train_two_methods.py",
    )
    write_text(folder / RESOLVED, dump_yaml(study))
    for run_id, config in study.runs().items():
        summary = train(config, folder / "runs" / run_id)  # resumes, or does nothing when finished
        print(
            f"{run_id}: return {summary['final_return']:.3f}, bytes sent {summary['bytes_sent']:,}"
        )

    finished = load_runs(study, folder / "runs").finished
    scores = {name: list(part["final_return"]) for name, part in finished.groupby("method")}
    pairs = zip(*(scores[name] for name in METHODS), strict=True)  # the same seed, the same traffic
    print("difference, seed by seed:", ", ".join(f"{two - one:+.3f}" for one, two in pairs))
    return scores


if __name__ == "__main__":
    main(Path(sys.argv[1]))
