"""The colour of a method, the same in every figure and in MLflow.

Told apart by colour-blind readers and, by their lightness, in greyscale.
"""

from __future__ import annotations

from rsm.config.catalogue import METHODS

# Relative luminance from dark to light: fmarl, rsm, average, independent, segment-average.
COLOURS = {
    "fmarl": "#000000",
    "rsm": "#0B4F9C",
    "average": "#B8450A",
    "independent": "#34A57E",
    "segment-average": "#D09A2A",
}
# Of methods that came later, in the order of the registry: a new one needs no line here.
OTHERS = ("#5C0A48", "#C2588C", "#B58FC2", "#7A5C3A", "#2F7F8F", "#9A9A2E")
CONTROL = "#8C8C8C"


def colour(method: str) -> str:
    """The colour of a method as `#rrggbb`; controls, which figures draw as levels, are grey."""
    if method in COLOURS:
        return COLOURS[method]
    later = [name for name in METHODS if name not in COLOURS]
    return OTHERS[later.index(method) % len(OTHERS)] if method in later else CONTROL
