"""CITATION.cff says of the package what the package says of itself."""

import tomllib
from pathlib import Path

import yaml

import rsm

ROOT = Path(__file__).parent.parent
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_citation_is_of_this_version_under_this_licence() -> None:
    assert str(CITATION["version"]) == rsm.__version__
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == PROJECT["authors"]


def test_citation_has_what_its_format_requires() -> None:
    assert CITATION["cff-version"] == "1.2.0"
    assert {"authors", "message", "title"} <= set(CITATION)
    for reference in CITATION["references"]:
        assert {"authors", "title", "type"} <= set(reference)
