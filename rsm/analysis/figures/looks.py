"""What a method looks like in every figure.

Colours (those of methods: rsm.config.colours) are told apart by colour-blind readers and, by their
lightness, in greyscale; line style and marker repeat the difference. A method has one hue everywhere, and a
rule of it one shade of that hue; what else varies, such as how much is lost, goes from the shade to lighter or
darker ones, with lines, markers and fillings of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import lcm
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from rsm.config.catalogue import METHODS
from rsm.config.colours import COLOURS, OTHERS

Dash = str | tuple[float, tuple[float, ...]]


class Look(NamedTuple):
    """How the configurations of one label are drawn."""

    color: str
    dash: Dash
    marker: str
    filling: Literal["full", "none", "left", "bottom"]

    def line(self) -> dict[str, Any]:
        """Keywords of a line with markers."""
        return {"color": self.color, "linestyle": self.dash} | self.point()

    def point(self) -> dict[str, Any]:
        """Keywords of markers."""
        return {
            "color": self.color,
            "marker": self.marker,
            "fillstyle": self.filling,
            "markeredgewidth": 0.7,
            "markerfacecoloralt": "white",
        }


_METHODS: dict[str, tuple[Dash, str]] = {
    "fmarl": ((0, (4, 1.5)), "P"),
    "rsm": ("-", "o"),
    "average": ((0, (5, 1.5, 1, 1.5)), "D"),
    "independent": ("-", "s"),
    "segment-average": ((0, (2.5, 1)), "v"),
}
# Methods that came later, in the order of the registry: a new one needs no line here.
_OTHERS = tuple(zip(OTHERS, ("d", "<", "p", ">", "h", "8"), strict=True))
# Rules, which `rsm` alone has: shades from blue to violet.
_VARIANTS: dict[str, tuple[str, Dash, str]] = {
    "trust-region": ("#4C93EA", (0, (1, 0.8)), "^"),
    "certified": ("#062A5C", (0, (3, 1, 1, 1)), "*"),
    "line-search": ("#2E74C8", (0, (3, 1)), "X"),
    "fixed": ("#8FA9DC", (0, (1, 2.2)), "h"),
    "coin": ("#8A63D2", (0, (6, 1, 1, 1, 1, 1)), "8"),
    # Not rules: the two versions of the published code, named in the same place of a label.
    "code aug": ("#5B2A91", (0, (4, 2, 1, 2)), "<"),
    "code jul": ("#B093DC", (0, (2, 2)), ">"),
}
# Further variants of one method and rule, such as how much is lost.
_FURTHER: tuple[tuple[Dash, str], ...] = (
    ((0, (5, 1, 1, 1, 1, 1)), "D"),
    ((0, (1, 3)), "v"),
    ((0, (7, 2)), "P"),
    ((0, (2, 1, 2, 3)), "d"),
    ((0, (4, 3, 1, 3)), "<"),
)
_LIGHTEST, _MIDDLE, _DARKEST = 0.68, 0.45, 0.12  # luminances on white paper
_STEPS = (0.0, 0.45, 0.75, 1.0)  # of a variant on the way from its shade to the lightest or darkest
_FILLINGS: tuple[Literal["full", "none", "left", "bottom"], ...] = (
    "full",
    "none",
    "left",
    "bottom",
)


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Label → look. Method and rule decide shade, line and marker wherever they occur;
    other variants (`2 % loss`) take further shades, lines, markers and fillings in order."""
    found: dict[str, Look] = {}
    first: dict[tuple[str, str], str] = {}
    further: dict[
        str, list[tuple[str, str]]
    ] = {}  # of a method, whatever the rule: they have its hue
    names = list(dict.fromkeys(labels))
    later = [method for method in METHODS if method not in _METHODS]
    later += sorted({_parts(name)[0] for name in names} - {*_METHODS, *later})
    for name in names:
        method, words = _parts(name)
        if method in _METHODS:
            dash, marker = _METHODS[method]
            color = COLOURS[method]
        else:
            color, marker = _OTHERS[later.index(method) % len(_OTHERS)]
            dash = "-"
        rule = next((word for word in words if word in _VARIANTS), "")
        if rule:
            own, dash, marker = _VARIANTS[rule]
            color = own if method == "rsm" else color
        rest = ", ".join(word for word in words if word not in (rule, "theorem2"))
        number = again = 0
        if first.setdefault((method, rule), rest) != rest:
            variants = further.setdefault(method, [])
            if (rule, rest) not in variants:
                variants.append((rule, rest))
            number = 1 + variants.index((rule, rest))
            others = [look for look in _FURTHER if look[1] != marker]
            dash, marker = others[(number - 1) % len(others)]
            # Once every marker was there in every shade they come again, with other fillings.
            again = (number - 1) // lcm(len(others), len(_STEPS))
        shade = _shade(color, _STEPS[number % len(_STEPS)])
        found[name] = Look(shade, dash, marker, _FILLINGS[(number + again) % len(_FILLINGS)])
    return found


def luminance(color: str) -> float:
    """How light a colour is in greyscale, from 0 (black) to 1."""
    return float(np.dot(to_rgb(color), (0.299, 0.587, 0.114)))


def _shade(color: str, step: float) -> str:
    """A dark colour made lighter, or a light one darker: by the part `step` of what white paper allows."""
    if not step:
        return color
    light = luminance(color)
    end, other = (_LIGHTEST, 1.0) if light < _MIDDLE else (_DARKEST, 0.0)
    mixed = step * (end - light) / (other - light)  # with white or black
    red, green, blue = (own * (1 - mixed) + other * mixed for own in to_rgb(color))
    return to_hex((red, green, blue))


def _parts(label: str) -> tuple[str, list[str]]:
    match = re.fullmatch(r"(\S+)(?: \((.*)\))?", label)
    method, words = match.groups() if match else (label, None)
    return method, words.split(", ") if words else []
