"""What a method looks like in every figure.

Colours are told apart by colour-blind readers and, by their lightness, in greyscale; line style and
marker repeat the difference. A method has one colour everywhere; its variants differ in line style,
marker and filling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from rsm.config.catalogue import METHODS

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


# Relative luminance from dark to light: fmarl, rsm, average, segment-average, independent.
_METHODS: dict[str, tuple[str, Dash, str]] = {
    "fmarl": ("#000000", (0, (4, 1.5)), "P"),
    "rsm": ("#0B56A4", "-", "o"),
    "average": ("#C8500A", (0, (5, 1.5, 1, 1.5)), "D"),
    "segment-average": ("#CF9420", (0, (2.5, 1)), "v"),
    "independent": ("#86C5EA", "-", "s"),
}
# Methods that came later, in the order of the registry: a new one needs no line here.
_OTHERS = (
    ("#5C0A48", "d"),
    ("#4E8A52", "<"),
    ("#B58FC2", "p"),
    ("#7A5C3A", ">"),
    ("#2F7F8F", "h"),
    ("#9A9A2E", "8"),
)
_VARIANTS: dict[str, tuple[Dash, str]] = {
    "trust-region": ((0, (1, 0.8)), "^"),
    "certified": ((0, (3, 1, 1, 1)), "*"),
    "line-search": ((0, (3, 1)), "X"),
    "fixed": ((0, (1, 2.2)), "h"),
    "coin": ((0, (6, 1, 1, 1, 1, 1)), "8"),
    # Not rules: the two versions of the published code, named in the same place of a label.
    "code aug": ((0, (4, 2, 1, 2)), "<"),
    "code jul": ((0, (2, 2)), ">"),
}
# Further variants of one method and rule, such as how much is lost.
_FURTHER: tuple[tuple[Dash, str], ...] = (
    ((0, (5, 1, 1, 1, 1, 1)), "D"),
    ((0, (1, 3)), "v"),
    ((0, (7, 2)), "P"),
    ((0, (2, 1, 2, 3)), "d"),
    ((0, (4, 3, 1, 3)), "<"),
)
_FILLINGS: tuple[Literal["full", "none", "left", "bottom"], ...] = (
    "full",
    "none",
    "left",
    "bottom",
)


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Label → look. Method and rule decide colour, line and marker wherever they occur;
    other variants (`2 % loss`) take further lines, markers and fillings in order."""
    found: dict[str, Look] = {}
    first: dict[tuple[str, str], str] = {}
    further: dict[
        str, list[tuple[str, str]]
    ] = {}  # of a method, whatever the rule: they have its colour
    names = list(dict.fromkeys(labels))
    later = [method for method in METHODS if method not in _METHODS]
    later += sorted({_parts(name)[0] for name in names} - {*_METHODS, *later})
    for name in names:
        method, words = _parts(name)
        if method in _METHODS:
            color, dash, marker = _METHODS[method]
        else:
            color, marker = _OTHERS[later.index(method) % len(_OTHERS)]
            dash = "-"
        rule = next((word for word in words if word in _VARIANTS), "")
        if rule:
            dash, marker = _VARIANTS[rule]
        rest = ", ".join(word for word in words if word not in (rule, "theorem2"))
        number = 0
        if first.setdefault((method, rule), rest) != rest:
            variants = further.setdefault(method, [])
            if (rule, rest) not in variants:
                variants.append((rule, rest))
            number = 1 + variants.index((rule, rest))
            dash, marker = _FURTHER[(number - 1) % len(_FURTHER)]
        found[name] = Look(color, dash, marker, _FILLINGS[number % len(_FILLINGS)])
    return found


def _parts(label: str) -> tuple[str, list[str]]:
    match = re.fullmatch(r"(\S+)(?: \((.*)\))?", label)
    method, words = match.groups() if match else (label, None)
    return method, words.split(", ") if words else []
