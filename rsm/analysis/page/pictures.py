"""The figures of a study with their captions, embedded pixel for pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rsm.analysis.figures import Heading
from rsm.errors import ConfigError, one_line


class Picture(NamedTuple):
    """A figure on the page; `caption` is HTML, `files` are beside the page."""

    name: str
    title: str
    caption: str
    source: str  # a data: address
    width: int
    height: int
    files: list[str]


def pictures(folder: Path, headings: Mapping[str, Heading]) -> dict[str, list[Picture]]:
    """Category → figures of `folder` (`<name>.png`), those of `headings` in their order and then any other.

    Raises ConfigError for a picture that cannot be read.
    """
    there = {path.stem: path for path in sorted(folder.glob("*.png"))}
    found: dict[str, list[Picture]] = {}
    for name in [
        *(name for name in headings if name in there),
        *sorted(set(there) - set(headings)),
    ]:
        about = headings.get(name)
        category, title = (about.category, about.title) if about else ("Other", name)
        text = caption(about.caption.read_text(encoding="utf-8")) if about else ""
        source, (width, height) = embedded(there[name])
        files = [
            path.name for kind in ("pdf", "csv") if (path := folder / f"{name}.{kind}").is_file()
        ]
        found.setdefault(category, []).append(
            Picture(name, title, text, source, width, height, files)
        )
    return found


def embedded(path: Path) -> tuple[str, tuple[int, int]]:
    """A picture as a data: address, and its size in pixels. Lossless WebP takes less than half of the PNG."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            content = io.BytesIO()
            image.convert("RGBA").save(content, "WEBP", lossless=True, exact=True)
            size = image.size
    except (OSError, ValueError) as error:
        raise ConfigError(f"{one_line(path)}: cannot be read: {one_line(error)}") from None
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}", size


def caption(text: str) -> str:
    """reStructuredText as HTML; no file is included and no HTML in it is passed on."""
    from docutils.core import publish_parts

    settings = {
        "report_level": 5,
        "halt_level": 5,
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "_disable_config": True,
    }
    parts = publish_parts(text, writer="html5", settings_overrides=settings)
    return str(parts["fragment"])
