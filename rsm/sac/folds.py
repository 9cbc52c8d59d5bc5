"""Folds of a window of transitions: sets that share no transition, and no episode where that can be.

A replica is chosen on one fold and tested on another (docs/concepts/algorithm.md, `line-search`), since
transitions that follow one another are alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fold_ages(episodes: NDArray[np.int64], fold: int, folds: int) -> NDArray[np.int64]:
    """Ages of the transitions of one fold, in a window whose transition of age a is of `episodes[a]`.

    Fold f has the episodes whose number is f modulo `folds`. This could leave a fold less than a quarter
    of its fair share: the window holds one episode, or one and the beginning of another. Then the window
    is parted by time, fold 0 being the latest, and a tenth of it is left out between two folds.
    """
    window = len(episodes)
    ages, number = np.arange(window), episodes % folds
    if int(np.bincount(number, minlength=folds).min()) * folds * 4 >= window:
        return ages[number == fold]
    gap = window // 10 if folds * (window // 10) < window // 2 else 0
    size = (window - gap * (folds - 1)) // folds
    return ages[fold * (size + gap) :][:size]


def fold_of_each(
    episodes: NDArray[np.int64], windows: NDArray[np.int64], fold: int, folds: int
) -> NDArray[np.bool_]:
    """The same for N agents that have stored different numbers: whether a transition is in the fold, `[N, W]`.

    `episodes: [N, W]` by age, of which each agent's own `windows: [N, 1]` count. Who has fewer transitions than
    folds has its latest in every fold.
    """
    ages = np.arange(episodes.shape[1])[None, :]
    inside, number = ages < windows, episodes % folds
    counts = np.stack([((number == f) & inside).sum(axis=1) for f in range(folds)])
    by_episode = (counts.min(axis=0) * folds * 4 >= windows[:, 0])[:, None]
    gap = np.where(folds * (windows // 10) < windows // 2, windows // 10, 0)
    size = np.maximum((windows - gap * (folds - 1)) // folds, 1)
    start = np.minimum(fold * (size + gap), windows - 1)
    by_time = (ages >= start) & (ages < start + size)
    allowed: NDArray[np.bool_] = inside & np.where(by_episode, number == fold, by_time)
    return allowed
