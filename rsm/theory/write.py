"""Computes a part of the theory study and writes its tables and figures (`rsm theory`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rsm.analysis.figures import redraw
from rsm.config.study import Study
from rsm.runs.files import write_csv, write_text
from rsm.theory import FIGURES, TABLES
from rsm.theory.figures import module

Frames = dict[str, pd.DataFrame]
SEED = 20_231  # seed of every experiment outside training
CAPTIONS = {
    "theorem1": "Draws that violate Theorem 1 when its penalty is multiplied by `scale`. `needed_max` is "
    "the largest share of the penalty that a draw needed.",
    "theorem2": "Steps along a straight line in parameters, all quantities exact, logits of spread 1: how "
    "many accepted steps lower J (with 95 % Wilson interval), ζ, and the gain (1−γ)ΔJ. "
    "`downhill_percent`: pairs with A⁺ > 0 whose first-order gain is negative.",
    "theorem2_spreads": "The same by the spread of the logits, from nearly uniform policies (0.3) to nearly "
    "deterministic ones (10).",
    "advantage_estimators": "Error of an estimate of A⁺ in units of |A⁺| (median over receivers) and how "
    "often its sign is right (percent), against integration over actions. `positive`: receivers with A⁺ > 0, "
    "percent. `moved`: how far along θ̃ − θ the judged policy lies.",
    "catching_up": "Replicas with A⁺ > 0 (percent) after further updates of the actors with frozen critics; "
    "`gained` is A⁺ of the updated actor over the one before, `advantage` the median A⁺ of the replicas.",
    "zeta_training": "ζ in training, all runs of the study. Acceptance in percent of judged replicas, `at_cap` "
    "in percent of accepted ones, `bound_above_cap` in percent of those with A⁺ > 0.",
    "zeta_gamma": "ζ of accepted replicas by γ; below the cap ζ = (1−γ)/√γ · sqrt(A⁺/(εq)): "
    "`discount_factor` and `evidence`.",
    "gate": "How well A⁺ by each judge tells replicas that raise the receiver's held-out return from those "
    "that do not; shares in percent, `area` under the ROC curve (½ is a coin). `gain_accepted` and "
    "`gain_rejected`: mean change of the return by the replicas that are accepted, or not. 95 % intervals by "
    "a bootstrap over `runs` and their `probes`, moments of training at which replicas drove. `clear`: the "
    "mean change is beyond two standard errors.",
    "gate_states": "How many states B a question to peers needs. `loss`: by how much the area under the ROC "
    "curve is below that of the most states, on the same replicas (95 % interval); `enough`: at most 0.02. "
    "`question_bytes`: questions and answers of one replica.",
    "zeta_distance": "ζ by policy distance q, runs with γ 0.99; `slope` is that of log ζ over log q.",
}


def write_part(part: str, study: Study, results: Path) -> list[Path]:
    """Compute a part and write its tables and figures below `results`; returns the files.

    Tables go to `tables/` as CSV and Markdown, figures to `figures/` as CSV, PDF and PNG.
    """
    tables, figures = _PARTS[part](study, results)
    assert tuple(tables) == TABLES[part] and tuple(figures) == FIGURES[part]
    paths = []
    for name, table in tables.items():
        paths += [results / "tables" / f"{name}.{kind}" for kind in ("csv", "md")]
        write_csv(paths[-2], table)
        write_text(paths[-1], markdown(name, table))
    for name, data in figures.items():
        paths.append(results / "figures" / f"{name}.csv")
        write_csv(paths[-1], data)
        paths += draw(name, paths[-1])
    return paths


def draw(name: str, table: Path) -> list[Path]:
    """Draw a figure from its CSV, as PDF and PNG beside it."""
    return redraw(module(name), table, table.parent)


def markdown(name: str, table: pd.DataFrame) -> str:
    """A table with its caption, numbers to three digits, counts whole."""
    text = table.map(_readable).to_markdown(index=False, disable_numparse=True)
    return f"# {name}\n\n{text}\n\n{CAPTIONS[name]}\n"


def _readable(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return "–" if np.isnan(value) else f"{value:.3g}"
    return str(value)


def _exact(study: Study, results: Path) -> tuple[Frames, Frames]:
    from rsm.theory import exact

    first, second = (np.random.default_rng([SEED, number]) for number in (1, 2))
    theorem1, bound = exact.theorem1_tables(first)
    theorem2, spreads, steps = exact.theorem2_tables(second)
    example = exact.theorem2_example().assign(panel="example")
    rates = spreads[["spread", "rule", "lowered_percent"]].assign(panel="spreads")
    return (
        {"theorem1": theorem1, "theorem2": theorem2, "theorem2_spreads": spreads},
        {
            "theorem1_bound": bound,
            "theorem2_example": pd.concat([example, rates], ignore_index=True),
            "theorem2_steps": steps,
        },
    )


RATIOS = (0.1, 1.0)  # actor to critic learning rate, of the runs trained for the estimators
EPISODES = 8
SHARES = (0.01, 0.1, 1.0)  # how far along θ̃ − θ the judged policy lies
DISTANCES = (1e-3, 1e-2, 1e-1, 1.0)  # nats
CATCHING_UP = (0, 1, 3, 10, 30, 100, 300)
REPLICAS = 8


def _estimators(study: Study, results: Path) -> tuple[Frames, Frames]:
    from rsm.theory import estimators, trained

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    tables, curves = [], []
    for distance in DISTANCES:
        pool = estimators.random_pool(generator, distance)
        tables.append(estimators.accuracy(pool, generator, policies="random", moved=1.0))
    for ratio in RATIOS:
        configs = [trained.config_of(study, ratio, EPISODES, seed) for seed in study.seeds]
        pools = [trained.pool_of(*trained.trained(config)) for config in configs]
        pool = trained.joined(pools)
        for share in SHARES:
            moved = pool.towards(share)
            tables.append(
                estimators.accuracy(
                    moved, generator, policies=f"trained, ratio {ratio:g}", moved=share
                )
            )
        segments, draw = study.run.communication.segments, np.random.default_rng(SEED)
        replicas = torch.cat(
            [trained.referentials(part.theta, segments, REPLICAS, draw) for part in pools], dim=1
        )
        rate = study.run.sac.critic_lr
        curve = trained.catching_up(pool, replicas, CATCHING_UP, rate, generator)
        curves.append(curve.assign(ratio=ratio))
    table, curve = (pd.concat(parts, ignore_index=True) for parts in (tables, curves))
    both = {"advantage_estimators": table, "catching_up": curve}
    return both, both


def _training(study: Study, results: Path) -> tuple[Frames, Frames]:
    from rsm.theory import traces

    trace = traces.load_traces(study, results)
    table, gamma = traces.training_table(trace), traces.gamma_table(trace)
    distance = traces.distance_table(trace)
    scaling = [
        gamma.assign(panel="gamma"),
        distance.assign(panel="distance"),
        table[table["variation"] == ""].rename(columns={"rule": "found_by"}).assign(panel="rule"),
    ]
    return (
        {"zeta_training": table, "zeta_gamma": gamma, "zeta_distance": distance},
        {
            "zeta_scaling": pd.concat(scaling, ignore_index=True),
            "acceptance": traces.acceptance_curve(trace),
        },
    )


def _gate(study: Study, results: Path) -> tuple[Frames, Frames]:
    from rsm.theory import gate

    measured = gate.load_gate(study, results)
    table = gate.gate_table(measured, np.random.default_rng(SEED))
    states = gate.states_table(measured, np.random.default_rng(SEED))
    curves = gate.gate_curves(measured, table).assign(panel="curves")
    drawn = [part for part in (curves, states.assign(panel="states")) if len(part)]
    figure = pd.concat(drawn or [curves], ignore_index=True).reindex(
        columns=list({**curves, **states})
    )
    return {"gate": table, "gate_states": states}, {"gate": figure}


_PARTS = {"exact": _exact, "estimators": _estimators, "training": _training, "gate": _gate}
