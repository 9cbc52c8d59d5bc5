"""A run while it trains: `progress.json`, read by `rsm status` (rsm.runs.status), and its tables so far.

They lie in the run folder as long as the process lives. A killed process leaves them behind, which their age
shows.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from rsm.config.run import RunConfig
from rsm.runs.checkpoint import Pace
from rsm.runs.files import PROGRESS, UNDER_WAY, write_json
from rsm.runs.partial import write_partial
from rsm.runs.recorder import Recorder

COST = 0.004  # share of the wall time that writing the progress may take, and the tables
EVERY_S = 2.0  # the progress is never written more often
TABLES_EVERY_S = 30.0  # nor are the tables


def remove_live(folder: Path) -> None:
    """Remove what is only there while a run trains."""
    for name in UNDER_WAY:
        (folder / name).unlink(missing_ok=True)


class Live:
    """Writes how far a run is, and its tables, from its beginning on (`done` episodes are done before)."""

    def __init__(self, folder: Path, config: RunConfig, done: int = 0) -> None:
        self._path, self._config, self._done = folder / PROGRESS, config, done
        self._pace, self._start, self._last = Pace(COST), time.monotonic(), -EVERY_S
        self._pace_of_tables, self._tables_at = Pace(COST), self._start
        self._write({"episode": done})

    def episode(
        self, episode: int, episode_return: float, bytes_sent: int, judged: int, accepted: int
    ) -> None:
        """`episode` is done; `judged` and `accepted` replicas and the bytes are of the run so far.

        Written only if enough time has passed since the last time.
        """
        now = time.monotonic()
        if now - self._last < EVERY_S or not self._pace.due:
            return
        per_episode = (now - self._start) / (episode - self._done)
        self._last = now
        self._write(
            {
                "episode": episode,
                "return": episode_return,
                "bytes_sent": bytes_sent,
                "acceptance_rate": accepted / judged if judged else None,
                "episode_s": per_episode,
            }
        )

    def tables(self, recorder: Recorder) -> None:
        """The tables so far, for curves that are drawn while the run trains; written only if it is time."""
        now = time.monotonic()
        if now - self._tables_at < TABLES_EVERY_S or not self._pace_of_tables.due:
            return
        self._tables_at = now
        with self._pace_of_tables.measured(), contextlib.suppress(OSError):
            write_partial(self._path.parent, recorder)

    def _write(self, content: dict[str, float | None]) -> None:
        """A full disk or a value that is not finite is ignored here, since the run itself reports it."""
        about = {
            "run_id": self._config.run_id,
            "settings_hash": self._config.settings_hash,
            "episodes": self._config.training.episodes,
        }
        with self._pace.measured(), contextlib.suppress(OSError, ValueError):
            write_json(self._path, about | content)
