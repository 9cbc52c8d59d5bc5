"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

LINES_EVERY_S = 10.0  # plain lines come at most this often


class Progress:
    """Shows return, bytes sent and time left after each of `total` training episodes, `done` of them before."""

    def __init__(self, run_id: str, total: int, done: int = 0) -> None:
        self._run_id, self._total, self._done = run_id, total, done
        self._first, self._start = done, time.monotonic()
        self._last_line = -LINES_EVERY_S
        terminal = sys.stderr.isatty()
        self._bar = (
            tqdm(total=total, initial=done, desc=run_id, unit="episode") if terminal else None
        )
        if done:
            self.line(f"resumed after episode {done}")

    def episode(self, episode_return: float, bytes_sent: int) -> None:
        """One more episode is done."""
        self._done += 1
        megabytes = f"{bytes_sent / 1e6:.1f} MB"
        if self._bar is not None:
            self._bar.set_postfix({"return": f"{episode_return:.3f}", "sent": megabytes})
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._last_line < LINES_EVERY_S and self._done < self._total:
            return
        self._last_line = now
        left = (now - self._start) / (self._done - self._first) * (self._total - self._done)
        self.line(
            f"episode {self._done}/{self._total}  return {episode_return:.3f}  sent {megabytes}  "
            f"left {left:.0f} s"
        )

    def line(self, text: str) -> None:
        """A line of its own, above the bar if there is one."""
        message = f"{self._run_id}: {text}"
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
        else:
            print(message, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()
