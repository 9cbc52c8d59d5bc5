"""Files of pictures: GIF, MP4 or one PNG, by the ending of the file's name."""

from __future__ import annotations

import itertools
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
# of two megabytes, and 25 s, three times as smooth, as MP4.
FILMS = {".gif": (150, 10), ".mp4": (500, 20)}
UNCHANGED = 127  # number of the colour of a GIF that is none, after those that it has
NEARLY = 247  # of 255: what is lighter was white before it shared a colour


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
    """A GIF that repeats, with one palette for all frames so that nothing flickers.

    Of a later frame only the pixels that changed are kept; the others are transparent, which makes the file
    half as large.
    """
    first = next(frames)
    every = np.unique(
        first.reshape(-1, 3), axis=0
    )  # each once, so that few pixels keep their colour
    palette = Image.fromarray(every[:, None]).quantize(UNCHANGED, dither=Image.Dither.NONE)
    colours = np.array(palette.getpalette())
    palette.putpalette(np.where(colours > NEARLY, 255, colours).tolist())  # white paper stays white
    pictures = changes(itertools.chain([first], frames), palette)
    next(pictures).save(
        path, save_all=True, append_images=pictures, duration=1000 // rate, loop=0, optimize=False,
        transparency=UNCHANGED, disposal=1,
    )  # fmt: skip


def changes(frames: Iterator[Frame], palette: Image.Image) -> Iterator[Image.Image]:
    """Each frame in the colours of a palette, UNCHANGED where it is as the frame before."""
    before = None
    for frame in frames:
        picture = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        numbers = np.asarray(picture)
        if before is not None:
            picture = Image.fromarray(
                np.where(numbers == before, UNCHANGED, numbers).astype(np.uint8)
            )
        picture.putpalette(palette.getpalette() or ())
        before = numbers
        yield picture


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
