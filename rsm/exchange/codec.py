"""The codec of a run: `communication.encoding` applied to its segments, and what top-k remembers.

Top-k sends a difference to what *this* receiver last confirmed, and so keeps what it did not send in the
difference until it is sent: the compression and the error feedback of CHOCO-SGD (Koloskova, Stich and Jaggi
2019, docs/concepts/exchange.md). Mixing stays that of the method.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rsm.config.catalogue import parse_encoding
from rsm.exchange.encodings import (
    FLOAT,
    VERSION,
    Payload,
    Values,
    from_float16,
    from_int8,
    from_topk,
    to_float16,
    to_int8,
    to_topk,
    topk_is_shorter,
)
from rsm.exchange.frames import NO_VALUES, Frame

Place = tuple[int, int, int, int]  # sender, receiver, segment and count


class Copy(NamedTuple):
    """A segment as one end of a link knows that the other end has it."""

    version: int
    values: Values  # [n]
    # [n], what an agent has beyond the copy that it shares with the server
    rest: Values | None = None


class Codec:
    """Encodes and decodes segments; with top-k, both ends of a link keep a copy of what the receiver holds.

    The *version* of a copy is the round that it came in. A request carries the version held; to any other
    than the sender's own the answer is the whole segment, as it is after a loss and at first.

    An agent and the server (node `server`) share one copy for both directions, since an agent takes what the
    server sends. It then adds what it has beyond the copy: what of its own learning was too small to be sent.
    `generator` draws the rounding of int8.
    """

    def __init__(
        self,
        encoding: str = "float32",
        generator: np.random.Generator | None = None,
        server: int | None = None,
    ) -> None:
        self._name, self._share = parse_encoding(encoding)
        self._generator, self._server = generator or np.random.default_rng(0), server
        self._copies: dict[tuple[int, Place], Copy] = {}  # by the node that keeps it, and the link

    @property
    def confirms(self) -> bool:
        """Whether requests carry the version held, and answers depend on who asks."""
        return self._name == "topk"

    def request(self, place: Place) -> Payload:
        """What a request for a segment says: nothing, or the version held, 0 for none."""
        if not self.confirms:
            return NO_VALUES
        copy = self._copy(place[1], place)
        return np.array([copy.version if copy else 0], VERSION)

    def encode(
        self, values: NDArray[np.floating], place: Place, round_: int, version: int
    ) -> Payload:
        """The payload of a segment `[n]` for a receiver that holds this version.

        One place has one payload a round: who is asked for it twice sends it twice.
        """
        match self._name:
            case "float16":
                return to_float16(values.astype(FLOAT, copy=False))
            case "int8":
                return to_int8(values.astype(FLOAT, copy=False), self._generator)
            case "topk":
                return self._changes(values.astype(FLOAT, copy=False), place, round_, version)
        return values

    def decode(
        self, frame: Frame, length: int, dtype: np.dtype[np.floating]
    ) -> NDArray[np.floating] | None:
        """The parameters `[length]` of a segment's frame, None where it is none of this encoding.

        Whether they are finite is for the caller to see.
        """
        values = frame.values
        match self._name:
            case "float16":
                decoded = from_float16(values, length)
            case "int8":
                decoded = from_int8(values, length)
            case "topk" if values.dtype == np.uint8:
                held = self._copy(frame.receiver, _place(frame))
                same = held is not None and len(held.values) == length
                decoded = (
                    from_topk(values, held.values, held.version, self._share)
                    if held and same
                    else None
                )
            case name:
                whole = values.dtype == (dtype if name == "float32" else FLOAT)
                decoded = values if whole and len(values) == length else None
        return None if decoded is None else decoded.astype(dtype, copy=False)

    def keep(self, frame: Frame, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """What an accepted frame brings its receiver, who from now on holds `values`, as `decode` gave them."""
        place = _place(frame)
        before = self._copy(frame.receiver, place)
        copy = Copy(self._version(place, frame.round), np.array(values, FLOAT))
        self._set(frame.receiver, place, copy)
        if frame.values.dtype == np.uint8 and before is not None and before.rest is not None:
            return values + before.rest
        return values

    def _changes(self, values: Values, place: Place, round_: int, version: int) -> Payload:
        sender, receiver, _, _ = place
        copy = self._copy(sender, place)
        payload: Payload
        if copy and copy.version == version and topk_is_shorter(len(values), self._share):
            payload, held = to_topk(values, copy.values, version, self._share)
        else:
            payload, held = values, values.copy()
        rest = values - held if receiver == self._server else None
        self._set(sender, place, Copy(self._version(place, round_), held, rest))
        return payload

    def _version(self, place: Place, round_: int) -> int:
        """Never 0; in a round what comes from the server is later than what goes there."""
        return 2 * round_ + (place[0] == self._server)

    def _copy(self, node: int, place: Place) -> Copy | None:
        return self._copies.get((node, self._link(place)))

    def _set(self, node: int, place: Place, copy: Copy) -> None:
        self._copies[node, self._link(place)] = copy

    def _link(self, place: Place) -> Place:
        sender, receiver, segment, count = place
        if sender == self._server:
            return receiver, sender, segment, count
        return place

    def forget(self, node: int) -> None:
        """A newcomer holds nothing."""
        self._copies = {key: copy for key, copy in self._copies.items() if key[0] != node}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        copies = [
            (node, *link, copy.version, torch.from_numpy(copy.values), _tensor(copy.rest))
            for (node, link), copy in self._copies.items()
        ]
        return {"generator": self._generator.bit_generator.state, "copies": copies}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._generator.bit_generator.state = state["generator"]
        self._copies = {
            (node, (sender, receiver, segment, count)): Copy(
                version, values.numpy(), None if rest is None else rest.numpy()
            )
            for node, sender, receiver, segment, count, version, values, rest in state["copies"]
        }


PLAIN = Codec()  # as they are; remembers nothing


def _place(frame: Frame) -> Place:
    return frame.sender, frame.receiver, frame.segment, frame.count


def _tensor(values: Values | None) -> torch.Tensor | None:
    return None if values is None else torch.from_numpy(values)
