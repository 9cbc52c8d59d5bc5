"""Files that come with rsm: workflow, studies, pins, and the numbers that `rsm verify` compares with."""

from __future__ import annotations

from pathlib import Path

# In the folder of a study's results, with all defaults and overrides resolved
RESOLVED = "study.yaml"

_CHECKOUT = Path(__file__).resolve().parents[2]


def checkout() -> Path | None:
    """The checkout that this package lies in; None where it is installed from a wheel."""
    return _CHECKOUT if (_CHECKOUT / "Snakefile").is_file() else None


def shipped(name: str) -> Path:
    """A file or folder by its path in the repository, such as `workflow/studies` or `Snakefile`.

    In a checkout that is the file itself; a wheel lays it under `share/rsm/`. It need not exist.
    """
    root = checkout() or _installed()
    path = root / name
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _installed() -> Path:
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = next(file for file in files("rsm") or () if file.match("share/rsm/Snakefile"))
    except (PackageNotFoundError, StopIteration):
        return _CHECKOUT
    return Path(str(found.locate())).resolve().parent
