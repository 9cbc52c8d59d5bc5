"""The tables of a run under way: `partial.zip`, from which its curves are drawn before it has finished.

One file, so that all its tables are of one moment. It lies in the run folder as long as the process lives, and
is no result: the run itself never reads it, and no rule of the workflow names it.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from rsm.runs.files import PARTIAL, write_bytes
from rsm.runs.schema import AGENTS

if TYPE_CHECKING:
    import pandas as pd

    from rsm.runs.recorder import Recorder

CURVES = ("episodes", "evaluations", "rounds", "zeta", AGENTS)  # tables that curves are drawn from


def write_partial(folder: Path, recorder: Recorder) -> None:
    """Write what a run has recorded so far, atomically; raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in recorder.names:
            if name in CURVES:
                sink = pa.BufferOutputStream()
                pq.write_table(recorder.table(name), sink)
                archive.writestr(f"{name}.parquet", sink.getvalue().to_pybytes())
    write_bytes(folder / PARTIAL, buffer.getbuffer())


def read_partial(folder: Path) -> dict[str, pd.DataFrame] | None:
    """The tables by name; None where there are none, as before the first ones and after the run has ended."""
    import pandas as pd

    try:
        with zipfile.ZipFile(io.BytesIO((folder / PARTIAL).read_bytes())) as archive:
            return {
                name.removesuffix(".parquet"): pd.read_parquet(io.BytesIO(archive.read(name)))
                for name in archive.namelist()
            }
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
