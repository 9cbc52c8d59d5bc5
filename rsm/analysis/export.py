"""Tables as text: Markdown, LaTeX, and the JSON shape of marl-eval."""

from __future__ import annotations

import json
from html import escape
from textwrap import wrap
from typing import Any

import pandas as pd

from rsm.analysis.load import Runs
from rsm.analysis.statistics import FEWEST
from rsm.analysis.tables import WINDOW, readable
from rsm.config.loading import dump_yaml
from rsm.config.study import Study
from rsm.errors import ConfigError, one_line

CAPTION = (
    "The final return (0–1) of a run is the mean over the last 10 % of its evaluations (number rounded up), "
    "with mean actions. The table shows the interquartile mean over seeds with its 95 % stratified bootstrap "
    f"interval. With fewer than {FEWEST} seeds there is no interval, and the final return of each seed is "
    "given in brackets. Sampled actions: the same with actions drawn from the policy. Without "
    "collision: mean over those episodes of the final return that had none; seeds without such an episode are "
    "left out, and it is empty where there are several loops. Comparisons are paired by seed: they use the "
    "seeds that both sides have, and their intervals come from these pairs. Ahead of …: the final return "
    "minus that of the reference. Where every agent has a return of its own, the return is that of the honest "
    "agents, attackers excluded, and the worst agent is the honest agent with the lowest return; under a team "
    "reward that column is empty. P(better than …) is the probability of improvement. A reference shares the "
    "same parameters as the method, has the same loss rate and begins with the same policies; else, as for "
    "controls, it is the first of the table. A method without a topology is compared with average on all "
    "topologies. The go–platoon gap is 0 % at the return of go (selfish driving) and 100 % at that of "
    "platoon. Controls are evaluated on the same held-out episodes as learners. Sent: total bytes transmitted "
    "(requests, headers, payload and lost frames included), mean per run. Payload per agent: parameter bytes "
    "divided by the number of agents. Heaviest node: share of all bytes that the busiest node sent or "
    "received. Rounds: communication rounds until the first evaluation that reached 95 % of the final return "
    "of fmarl, and its training episode (ep.); a method that does not communicate has the episode only. "
    "Crashed: share of evaluation episodes with a collision, over all of training. With several loops each "
    "loop counts as an episode, and several collisions in one loop count like collisions in several loops."
)


def caption(runs: Runs) -> str:
    """What the columns mean, and the target return where the study has one."""
    text = CAPTION
    if runs.index["updates_not_made"].max() > 0:
        text += " Updates not made: updates that agents missed while they waited for slower agents."
    if runs.target_return is None:
        return text
    return (
        f"{text} Rounds to {runs.target_return:g}: communication rounds until the mean return of {WINDOW} "
        "training episodes first reaches it, median over seeds. A seed that never reaches it counts as "
        "later than all others; a dash means that half of the seeds or more never do."
    )


def markdown(table: pd.DataFrame, runs: Runs) -> str:
    """The main table as Markdown with its caption and whatever run failed or is missing."""
    frame = readable(table)
    sides = ["left", "left", *["right"] * (len(frame.columns) - 2)]
    text = frame.to_markdown(index=False, disable_numparse=True, colalign=sides)
    notes = (caption(runs), *_gaps(runs))
    return "\n\n".join([f"# {runs.study}: main table", text, *notes]) + "\n"


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.4 sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.25em 0.6em; border-bottom: 1px solid #ccc; text-align: right; white-space: nowrap; }}
th {{ white-space: normal; vertical-align: bottom; border-bottom: 2px solid #444; }}
td:nth-child(-n+2), th:nth-child(-n+2) {{ text-align: left; }}
p {{ max-width: 60em; }}
</style></head><body>
<h1>{title}</h1>
{table}
{notes}
</body></html>
"""


def html(table: pd.DataFrame, runs: Runs) -> str:
    """The main table as a page of its own, for the report."""
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in (caption(runs), *_gaps(runs)))
    text = readable(table).to_html(index=False, border=0)
    return PAGE.format(title=f"{escape(runs.study)}: main table", table=text, notes=notes)


def settings(study: Study) -> str:
    """The study with every setting resolved as a page of its own, for the report: it shows no YAML."""
    text = f"<pre>{escape(dump_yaml(study))}</pre>"
    return PAGE.format(title=f"{escape(study.name)}: settings", table=text, notes="")


def _gaps(runs: Runs) -> list[str]:
    """What failed or is missing, in words."""
    notes = []
    if runs.failed:
        reasons = "; ".join(f"{run_id} ({reason})" for run_id, reason in runs.failed.items())
        notes.append(f"Failed runs: {reasons}.")
    if runs.missing:
        notes.append(f"Missing runs: {', '.join(runs.missing)}.")
    if notes:
        seeds = ", ".join(map(str, common_seeds(runs))) or "none"
        notes.append(
            "Runs that failed or are missing have no entry in marl_eval.json, whose readers expect the "
            "same seeds of every method: it holds those that all methods with a finished run have "
            f"({seeds})."
        )
    return notes


def common_seeds(runs: Runs) -> list[int]:
    """The seeds that every learning configuration with a finished run has finished."""
    learners = runs.finished[~runs.finished["control"]]
    seeds = [set(part) for _, part in learners.groupby("configuration")["seed"]]
    return sorted(int(seed) for seed in set.intersection(*seeds)) if seeds else []


# Columns of the paper's table; all others are in a second table with the same rows.
CONFIGURATION = ("method", "topology", "P")
FIRST = (
    "return", "worst agent", "speed (m/s)", "ratio to fmarl", "ahead of independent", "go–platoon gap (%)",
    "sent (MB)", "rounds to 95 % of fmarl", "accepted (%)", "wall (min)",
)  # fmt: skip


def latex(table: pd.DataFrame, runs: Runs) -> str:
    """The main table for `\\usepackage{booktabs,graphicx}`: two tables, each across both columns of a page."""
    frame = readable(table)
    later = [name for name in frame.columns if name not in (*CONFIGURATION, *FIRST)]
    return "\n".join(
        [
            _latex_table(frame[[*CONFIGURATION, *FIRST]], caption(runs)),
            _latex_table(frame[[*CONFIGURATION, *later]], "The same runs: comparisons and costs."),
        ]
    )


def _latex_table(frame: pd.DataFrame, note: str) -> str:
    heads = " & ".join(_head(name) for name in frame.columns)
    rows = [
        " & ".join(_escaped(str(cell)) for cell in row) for row in frame.itertuples(index=False)
    ]
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{_escaped(note)}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{lll{'r' * (len(frame.columns) - 3)}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table*}",
            "",
        ]
    )


def _head(name: str) -> str:
    """A heading on several short lines: it must not make its column wider than the numbers do."""
    lines = wrap(name, 12, break_long_words=False)
    text = r"\\".join(_escaped(line) for line in lines)
    return rf"\shortstack{{{text}}}" if len(lines) > 1 else text


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "–": "--", "−": "$-$", "ő": r"\H{o}", "é": r"\'e", "…": r"\ldots{}",
}  # fmt: skip


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def manifests(runs: Runs) -> str:
    """The manifests of all runs that ended, a line of JSON each: what every number was made of.

    Raises ConfigError where one cannot be read.
    """
    lines = []
    for run_id in runs.index.loc[runs.index["status"] != "missing", "run_id"]:
        path = runs.folder / run_id / "manifest.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not JSON"
            raise ConfigError(f"{one_line(path)}: cannot be read: {reason}") from None
        lines.append(json.dumps(content, ensure_ascii=False) + "\n")
    return "".join(lines)


def marl_eval(runs: Runs) -> dict[str, Any]:
    """Evaluations in the JSON shape of instadeepai/marl-eval.

    scenario → task → algorithm → seed_<n> → step_<i> → step_count, return, mean_speed; and
    absolute_metrics, the last evaluation. The scenario is its own single task and a configuration is an
    algorithm; lists hold one value per held-out seed, deterministic mode. Controls have no steps and
    are left out. So are runs that failed or are missing, and seeds that another algorithm lacks: the tools
    look up every seed of the first algorithm in all others. They read every key as an environment, task,
    algorithm or run, so that the file cannot say so. The main table beside it and runs.csv do.
    """
    learners = runs.index[~runs.index["control"] & runs.index["seed"].isin(common_seeds(runs))]
    wanted = ["episode", "env_steps", "mode", "eval_seed", "return", "mean_speed"]
    table = runs.table("evaluations", learners, wanted)
    table = table[table["mode"] == "deterministic"].sort_values(["episode", "eval_seed"])
    scenario = dict(zip(runs.finished["run_id"], runs.finished["scenario"], strict=True))
    content: dict[str, Any] = {}
    for (run_id, configuration, seed), part in table.groupby(
        ["run_id", "configuration", "seed"], sort=False
    ):
        steps: dict[str, Any] = {}
        metrics: dict[str, list[float]] = {}
        for number, (_, evaluation) in enumerate(part.groupby("episode")):
            metrics = {name: evaluation[name].tolist() for name in ("return", "mean_speed")}
            count = int(evaluation["env_steps"].iloc[0])
            steps[f"step_{number}"] = {"step_count": count} | metrics
        world = scenario[run_id]
        algorithms = content.setdefault(world, {}).setdefault(world, {})
        algorithms.setdefault(configuration, {})[f"seed_{seed}"] = steps | {
            "absolute_metrics": metrics
        }
    return content
