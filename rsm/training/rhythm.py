"""When communication rounds are held: of all agents together, or of each in its own time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rsm.training.communication import Communication, Held, Places
from rsm.training.roster import Roster


class Rhythm:
    """Holds the rounds of a run as they fall due, decision by decision.

    Rounds that take no time are held at once after every U-th update, of the slowest where they wait for it.
    Synchronous rounds that take time begin then, and are over at a later decision. Asynchronous agents answer,
    begin rounds of their own and mix at every decision.
    """

    def __init__(
        self,
        exchange: Communication,
        roster: Roster,
        positions: Places,
        live: Callable[[], NDArray[np.bool_]],
        time: Callable[[], float],
    ) -> None:
        """What they give now.

        `positions: [N, 2]` are where the vehicles are, `live: [N]` says who has one, and `time` is the
        simulated time of training, s.
        """
        self._exchange, self._roster = exchange, roster
        self._positions, self._live, self._time = positions, live, time
        self._in_their_own_time = exchange.timed is not None and not exchange.in_step

    def listen(self) -> None:
        """Before an update: asynchronous peers answer what has reached them since the last decision."""
        if self._in_their_own_time:
            self._exchange.listen(self._positions, self._time(), self._roster.updates)

    def due(self, occasion: int | None) -> bool:
        """Whether a round of all begins after the update of this `occasion`, from 1; None: there was none."""
        exchange, roster = self._exchange, self._roster
        if occasion is None or self._in_their_own_time or not exchange.exchanges:
            return False
        if exchange.timed is not None and exchange.timed.under_way:
            return False
        return roster.all_made(self._live()) if roster.waits else exchange.due(occasion)

    def rounds(self, occasion: int | None) -> list[Held]:
        """What is held, begun and mixed before the next decision, for the records."""
        exchange, roster = self._exchange, self._roster
        if self._in_their_own_time:
            now = (self._positions, self._time(), roster.updates)
            row_due = occasion is not None and exchange.due(occasion)
            held, began = exchange.act(*now, roster.due, row_due)
            roster.round_held(began)
            return [held]
        if self.due(occasion):
            if exchange.timed is None:
                roster.round_held()
                return [exchange.hold_round(self._positions(), self._time())]
            exchange.begin_round(self._positions(), self._time(), roster.updates)
        ended = exchange.end_round(self._time()) if exchange.timed is not None else None
        if ended is None:
            return []
        roster.round_held()
        return [ended]
