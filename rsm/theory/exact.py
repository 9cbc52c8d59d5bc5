"""The experiments with exact quantities: tables and figure data of both theorems."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd

from rsm.config.exchanging import Mixing
from rsm.theory import mdp as worlds
from rsm.theory.mdp import Floats
from rsm.theory.theorem1 import Theorem1, random_draws, random_pair, theorem1, tight_example
from rsm.theory.theorem2 import GATED, Pair, bound, random_pairs, smallest_example, step_sizes

DRAWS = {"theorem1": 60_000, "theorem2": 10_000}
SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0)
SPREADS = (0.3, 0.7, 1.0, 2.0, 5.0, 10.0)
SPREAD = 1.0  # spread used for the table of rules and the figure of steps
SHOWN = 35  # steps in the figure per size of world and rule
DRAWS_SERIES, EXAMPLE_SERIES = "random draws", "tight example"


def theorem1_tables(
    generator: np.random.Generator, draws: int = DRAWS["theorem1"]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of violations by scale of the penalty constant, and the data of `theorem1_bound`.

    Table: `scale`, `draws`, `violated` (count and percent), `needed_max` (the largest share of the penalty that
    a draw needed: violations begin below it), and whether the tight example at β = 0.001 is violated.
    """
    drawn, beta = random_draws(generator, draws)
    needed = drawn.needed
    tight_beta = np.geomspace(1e-3, 1, 40)
    tight = _tight(tight_beta)
    smallest = _tight(np.array([1e-3]))
    table = pd.DataFrame(
        {
            "scale": SCALES,
            "draws": len(beta),
            "violated": [int(drawn.violated(scale).sum()) for scale in SCALES],
        }
    )
    table["violated_percent"] = 100 * table["violated"] / table["draws"]
    table["needed_max"] = needed.max()
    table["tight_example_violated"] = [bool(smallest.needed[0] > scale) for scale in SCALES]

    edges = np.geomspace(1e-3, 1, 16)
    rows = [*_example_rows(generator)]
    for low, high in itertools.pairwise(edges):
        inside = needed[(beta >= low) & (beta < high)]
        for name, share in (("median", 0.5), ("99 %", 0.99), ("largest", 1.0)):
            rows.append(("needed", name, math.sqrt(low * high), float(np.quantile(inside, share))))
    rows += [
        ("needed", EXAMPLE_SERIES, float(x), float(y))
        for x, y in zip(tight_beta, tight.needed, strict=True)
    ]
    for scale in np.geomspace(0.01, 1, 41):
        rows.append(
            ("violated", DRAWS_SERIES, float(scale), 100 * float(drawn.violated(scale).mean()))
        )
    rows.append(("limit", EXAMPLE_SERIES, float(smallest.needed[0]), 0.0))
    return table, pd.DataFrame(rows, columns=["panel", "series", "x", "y"])


def _tight(beta: Floats) -> Theorem1:
    world, stay, leave = tight_example()
    repeated = worlds.select(world, np.zeros(len(beta), dtype=np.int64))
    shape = (len(beta), 1, 1)
    return theorem1(repeated, np.tile(stay, shape), np.tile(leave, shape), beta)


def _example_rows(generator: np.random.Generator) -> list[tuple[str, str, float, float]]:
    """Both sides over β for one random world with A⁺ > 0, and for small γ, where the bound is of use."""
    rows: list[tuple[str, str, float, float]] = []
    beta = np.linspace(0, 1, 101)
    for gamma in (0.5, 0.9):
        mdp = worlds.random_mdp(generator, 64, 5, 3, gamma=(gamma, gamma), alpha=(0.1, 0.1))
        policy, other = random_pair(generator, mdp)
        advantage = theorem1(mdp, policy, other, np.full(64, 0.5)).advantage
        best = np.full(len(beta), int(np.argsort(advantage)[48]))  # the upper quarter
        sides = theorem1(worlds.select(mdp, best), policy[best], other[best], beta)
        for name, values in (("gain", sides.gain), ("bound", sides.bound)):
            series = f"{name}, γ = {gamma}"
            rows += [
                ("sides", series, float(x), float(y)) for x, y in zip(beta, values, strict=True)
            ]
    return rows


def theorem2_tables(
    generator: np.random.Generator, draws: int = DRAWS["theorem2"]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """By rule at spread 1; by spread and rule; and the steps that `theorem2_steps` shows.

    `lowered` counts accepted steps that lower J; `lowered_low` and `lowered_high` are the 95 % (Wilson)
    interval of its percentage. `gain` is (1−γ)(J(π_ζ) − J(π)), in units of a step's reward (standard normal).
    """
    tables, shown = [], []
    for spread in SPREADS:
        pairs = random_pairs(generator, draws, spread)
        rules = {name: [step_sizes(p, Mixing(rule=name)) for p in pairs] for name in GATED}
        rules |= {
            "any ζ < bound": [_below_bound(generator, p) for p in pairs],
            "ζ = bound / 100": [0.01 * np.minimum(bound(p), 1) for p in pairs],
        }
        downhill = sum(int((p.first_order_gain() < 0).sum()) for p in pairs)
        for name, zetas in rules.items():
            steps = pd.concat(
                [_steps(p, zeta) for p, zeta in zip(pairs, zetas, strict=True)],
                keys=range(len(pairs)),
            )
            taken = steps[steps["zeta"] > 0]
            tables.append(_summary(spread, name, taken, len(steps), downhill))
            if spread == SPREAD and name in GATED:
                few = taken.groupby(level=0, group_keys=False).head(SHOWN)
                shown.append(few.assign(rule=name).reset_index(drop=True))
    table = pd.DataFrame(tables)
    chosen = table[table["spread"] == SPREAD].drop(columns="spread").reset_index(drop=True)
    return chosen, table[list(_BRIEF)], pd.concat(shown, ignore_index=True)


_BRIEF = ("spread", "rule", "draws", "accepted", "lowered", "lowered_percent", "downhill_percent")


def _below_bound(generator: np.random.Generator, drawn: Pair) -> Floats:
    """0 < ζ < bound, uniform, and at most 1."""
    return generator.uniform(0, 1, len(drawn.form)) * np.minimum(bound(drawn), 1)


def _steps(drawn: Pair, zeta: Floats) -> pd.DataFrame:
    gain = (1 - drawn.mdp.gamma) * drawn.gain(zeta)
    return pd.DataFrame({"zeta": zeta, "gain": gain, "lowers": drawn.lowers(zeta)})


def _summary(
    spread: float, rule: str, taken: pd.DataFrame, draws: int, downhill: int
) -> dict[str, float | str]:
    lowered = int(taken["lowers"].sum())
    low, high = wilson_interval(lowered, len(taken))
    return {
        "spread": spread,
        "rule": rule,
        "draws": draws,
        "accepted": len(taken),
        "lowered": lowered,
        "lowered_percent": 100 * lowered / len(taken) if len(taken) else math.nan,
        "lowered_low": 100 * low,
        "lowered_high": 100 * high,
        "zeta_p10": float(taken["zeta"].quantile(0.1)),
        "zeta_median": float(taken["zeta"].median()),
        "zeta_p90": float(taken["zeta"].quantile(0.9)),
        "gain_median": float(taken["gain"].median()),
        "downhill_percent": 100 * downhill / draws,
    }


def wilson_interval(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share, sensible also at 0 of n; NaN where nothing was tried."""
    if not trials:
        return math.nan, math.nan
    share, weight = successes / trials, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def theorem2_example() -> pd.DataFrame:
    """Data of `theorem2_example`: the gain over ζ of the step in parameters, of its first order, and of a
    mixture of the two distributions, in the smallest world where they disagree."""
    example = smallest_example()
    zeta = np.linspace(0, 0.4, 161)
    index = np.zeros(len(zeta), dtype=np.int64)
    many = Pair(
        worlds.select(example.mdp, index),
        example.theta[index],
        example.direction[index],
        type(example.evaluated)(*(field[index] for field in example.evaluated)),
        *(field[index] for field in example[4:]),
    )
    other = worlds.softmax(many.theta + many.direction)
    mixed = worlds.mixture(many.policy, other, zeta)
    series = {
        "step in parameters": many.gain(zeta),
        "its first order": zeta * many.first_order_gain(),
        "mixture of distributions": worlds.evaluate(many.mdp, mixed).objective
        - many.evaluated.objective,
    }
    rows = [
        (name, float(x), float(y))
        for name, values in series.items()
        for x, y in zip(zeta, values, strict=True)
    ]
    rows.append(("bound", float(bound(example)[0]), 0.0))
    return pd.DataFrame(rows, columns=["series", "zeta", "gain"])
