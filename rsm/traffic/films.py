"""Files of pictures: GIF, MP4 or one PNG, by the ending of the file's name."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsm.errors import ConfigError, obstacle

Frame = NDArray[np.uint8]  # [height, width, 3]

# The most frames of a film and how many are shown per second: 150 s of traffic last 15 s as a GIF
# of some megabytes, and 25 s, twice as smooth, as MP4.
FILMS = {".gif": (300, 20), ".mp4": (500, 20)}


def steps_a_frame(out: Path, steps: int) -> int:
    """Every how many of `steps` simulation steps the file `out` shows."""
    ending = out.suffix.lower()
    return 1 if ending == ".png" else math.ceil(steps / FILMS[ending][0])


def check_output(out: Path) -> None:
    """Raises ConfigError unless `out` is a name that `render` can write."""
    ending = out.suffix.lower()
    if ending not in (*FILMS, ".png"):
        raise ConfigError(f"--out: {str(out)!r} is not allowed: it must end in .gif, .mp4 or .png")
    if out.is_dir():
        raise ConfigError(f"--out: {str(out)!r} is not allowed: it is a folder")
    if (reason := obstacle(out)) is not None:
        raise ConfigError(f"--out: {str(out)!r} is not allowed: {reason}")
    if ending == ".mp4":
        ffmpeg()


def write_frames(out: Path, frames: Iterator[Frame]) -> None:
    """Write a film, or the first frame as a PNG, by the ending of `out`: whole or not at all."""
    ending = out.suffix.lower()
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.stem}.", suffix=ending)
    os.close(descriptor)
    temporary = Path(name)
    try:
        if ending == ".png":
            Image.fromarray(next(frames)).save(temporary)
        elif ending == ".gif":
            write_gif(temporary, frames, FILMS[ending][1])
        else:
            write_mp4(temporary, frames, FILMS[ending][1])
        temporary.chmod(0o644)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


def write_gif(path: Path, frames: Iterator[Frame], rate: int) -> None:
    """A GIF that repeats, with one palette for all frames so that nothing flickers."""
    first = Image.fromarray(next(frames))
    palette = first.quantize(256, dither=Image.Dither.NONE)
    rest = (
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    )
    palette.save(
        path, save_all=True, append_images=rest, duration=1000 // rate, loop=0, optimize=False
    )


def write_mp4(path: Path, frames: Iterator[Frame], rate: int) -> None:
    """An H.264 film that browsers play."""
    first = next(frames)
    size = (first.shape[1], first.shape[0])
    writer = ffmpeg().write_frames(str(path), size, fps=rate, quality=7, macro_block_size=2)
    writer.send(None)
    try:
        for frame in (first, *frames):
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def ffmpeg() -> Any:
    """The wheel that carries ffmpeg; raises ConfigError where it is missing."""
    try:
        import imageio_ffmpeg  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ConfigError("--out: .mp4 needs ffmpeg: pip install imageio-ffmpeg") from None
    return imageio_ffmpeg
