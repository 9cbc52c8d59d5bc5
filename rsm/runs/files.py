"""Writing the files of a run folder and of a study, each of them atomically."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:  # loading them takes longer than `rsm status` may
    import pandas as pd
    import pyarrow as pa

# Names that planning needs too, which must not load torch; the modules of these files re-export them.
CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
PROGRESS, PARTIAL = "progress.json", "partial.zip"
UNDER_WAY = (PROGRESS, PARTIAL)  # only there while a run trains (rsm.runs.live)


def write_table(folder: Path, table: str, rows: pa.Table | Iterable[dict[str, Any]]) -> None:
    """Write rows as `<folder>/<table>.parquet`, atomically."""
    import pyarrow as pa

    from rsm.runs.schema import schema

    if not isinstance(rows, pa.Table):
        rows = pa.Table.from_pylist(list(rows), schema=schema(table))
    write_parquet(folder / f"{table}.parquet", rows)


def write_parquet(path: Path, rows: pa.Table) -> None:
    """Write a table as parquet, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically; NaN is refused (use null)."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def parse_json(text: str) -> Any:
    """JSON as `write_json` writes it; raises ValueError, also for NaN, which Python reads."""

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no number")

    return json.loads(text, parse_constant=refuse)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is none that can be read."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, atomically, with the same line ends on every system."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_text(path: Path, content: str) -> None:
    """Write text atomically, as UTF-8."""
    write_bytes(path, content.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically: temporary file, flush, rename.

    Raises OSError, also for what is there and is no regular file: a rename would replace /dev/null.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            with supported():
                os.fsync(file.fileno())
        with supported():
            os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def supported() -> Iterator[None]:
    """Ignore errors of what a file system lacks: file modes (SMB), flushing or locks (some clusters)."""
    try:
        yield
    except OSError as error:
        if error.errno not in (
            errno.ENOSYS,
            errno.EOPNOTSUPP,
            errno.ENOTSUP,
            errno.EINVAL,
            errno.EPERM,
        ):
            raise


def remove_leftovers(folder: Path, names: set[str]) -> None:
    """Remove temporary files of `names` that killed processes left behind."""
    for name in names:
        for leftover in folder.glob(f".{name}.*"):
            leftover.unlink(missing_ok=True)
