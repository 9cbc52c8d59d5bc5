"""SUMO networks: built by netconvert from plain XML, kept in a cache folder, read back.

Options of netconvert are those of Flow (flow-project/flow, flow/core/kernel/network/traci.py). Lengths are
read from the network that netconvert built, never from tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from rsm.errors import ConfigError, one_line, shown

INSTALL = "pip install eclipse-sumo==1.28.* libsumo==1.28.*"

Place = tuple[str, float]  # an edge, and metres along it


@dataclass(frozen=True)
class Network:
    """One-lane roads that netconvert built, over which routes lead.

    `offsets` maps every lane to the position (m) of its beginning, in the order of driving and with the
    short lanes inside junctions (their names begin with ':') among them; `lengths` likewise. `routes` has
    the edges of each route, `shapes` its centre line (x, y) in metres, as it is drawn.

    A `closed` network has separate loops of one `length`, one route each. Positions begin anew on every
    loop, and shapes are closed.

    In an open one routes may share lanes, and have the same positions there. `length` is that of all lanes
    together. `ways` maps every lane to the routes that lead over it, as bits; a lane inside a junction has
    those of the lane that it leads to. Whoever is on a common route, or about to be, is ahead or behind.
    `route` maps every lane to the first route that leads over it.
    """

    file: Path
    length: float
    offsets: dict[str, float]
    lengths: dict[str, float]
    routes: tuple[tuple[str, ...], ...]
    shapes: tuple[tuple[tuple[float, float], ...], ...]
    closed: bool = True
    ways: dict[str, int] = field(default_factory=dict)
    route: dict[str, int] = field(default_factory=dict)

    def place(self, position: float, loop: int = 0) -> Place:
        """Edge and distance along it (m) for a position on a loop (m), never inside a junction.

        A vehicle cannot be inserted inside a junction: it starts at the beginning of the next edge,
        as in Flow.
        """
        position %= self.length
        for edge in self.routes[loop]:
            start = self.offsets[f"{edge}_0"]
            if position < start:
                return edge, 0.0
            if position < start + self.lengths[f"{edge}_0"]:
                return edge, position - start
        return self.routes[loop][0], 0.0

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """From where to where (m) positions go on each route, as far as it is the first on its lanes."""
        if self.closed:
            return ((0.0, self.length),) * len(self.routes)
        own = [
            [lane for lane in self.route if self.route[lane] == n] for n in range(len(self.routes))
        ]
        return tuple(
            (min(map(self.offsets.__getitem__, lanes)), max(map(self._end, lanes))) for lanes in own
        )

    @property
    def meetings(self) -> tuple[float, ...]:
        """Positions (m) at which ways cross or join: the middles of lanes that have a junction in common."""
        inside = [lane for lane in self.offsets if lane[0] == ":"]
        junctions = [lane.rsplit("_", 2)[0] for lane in inside]
        shared = [
            lane for lane, name in zip(inside, junctions, strict=True) if junctions.count(name) > 1
        ]
        middles = {round(self.offsets[lane] + self.lengths[lane] / 2, 2) for lane in shared}
        return tuple(sorted(middles))

    def _end(self, lane: str) -> float:
        return self.offsets[lane] + self.lengths[lane]

    def gap(self, behind: float, ahead: float) -> float:
        """Metres from one position to another further on."""
        return (ahead - behind) % self.length if self.closed else ahead - behind


def built_network(
    parts: dict[str, str], routes: tuple[tuple[str, ...], ...], closed: bool = True
) -> Network:
    """The network of these plain XML parts with its routes, built where the cache has none.

    Routes are `closed` loops, or lead over roads that begin and end.

    Raises ConfigError where netconvert is missing or fails.
    """
    file = build_network(parts)
    read = read_loops if closed else read_open_roads
    try:
        return read(file, routes)
    except (ElementTree.ParseError, LookupError, ValueError):
        file.unlink(missing_ok=True)  # damaged, say by a power cut: it is only a cache
        return read(build_network(parts), routes)


def netconvert_binary() -> Path:
    """The netconvert of the eclipse-sumo wheel; raises ConfigError where it is missing."""
    try:
        import sumo  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ConfigError(f"traffic: netconvert is not installed: {INSTALL}") from None
    home = Path(sumo.SUMO_HOME)
    with contextlib.suppress(metadata.PackageNotFoundError):
        own = Path(str(metadata.distribution("eclipse-sumo").locate_file("sumo")))
        if own.is_dir() and not own.samefile(home):
            raise ConfigError(
                f"environment: PYTHONPATH: SUMO is taken from {one_line(home)}, not the installed "
                f"{metadata.version('eclipse-sumo')}: leave that folder out"
            )
    binary = home / "bin" / "netconvert"
    if not binary.is_file():
        raise ConfigError(f"traffic: netconvert is missing from eclipse-sumo: {INSTALL}")
    return binary


def cache_folder() -> Path:
    """Where built networks are kept: RSM_CACHE, or the user's cache folder, or a temporary one.

    Raises ConfigError where RSM_CACHE is given and cannot be used: somebody wants it there.
    """
    asked = os.environ.get("RSM_CACHE")
    base = asked or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    reason = "it is read-only"
    try:
        folder = Path(base).expanduser() / "rsm" / "networks"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    if asked:
        raise ConfigError(
            f"environment: RSM_CACHE: {shown(asked)} is not allowed: a folder that can be written is "
            f"expected ({reason})"
        )
    folder = Path(tempfile.gettempdir()) / f"rsm-networks-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def build_network(parts: dict[str, str]) -> Path:
    """Run netconvert over plain XML parts; the file's name is the hash of content and version.

    Safe with parallel processes: each builds into a folder of its own and renames the result.
    Raises ConfigError where netconvert is missing or fails.
    """
    binary = netconvert_binary()
    content = metadata.version("eclipse-sumo") + "".join(f"{k}{v}" for k, v in parts.items())
    folder = cache_folder()
    target = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.net.xml"
    if target.is_file():
        return target
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as name:
        build = Path(name)
        command = [str(binary), "--no-turnarounds", "true", "--no-internal-links", "false"]
        # Bare names, run from there: netconvert takes ',' for a list, ':' for a host, '${' for a variable.
        command += ["--xml-validation", "never", "--output-file", "net.xml"]
        for option, text in parts.items():
            (build / f"{option}.xml").write_text(text, encoding="utf-8")
            command += [f"--{option}", f"{option}.xml"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=build)
        if done.returncode != 0 or not (build / "net.xml").is_file():
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
            raise ConfigError(f"traffic: netconvert failed: {reason}; try {INSTALL}")
        os.replace(build / "net.xml", target)
    return target


def read_loops(file: Path, routes: tuple[tuple[str, ...], ...]) -> Network:
    """Lane offsets, loop length and centre lines of closed one-lane routes in a built network.

    Raises ValueError where the loops differ in length by more than a millimetre.
    """
    built = _Built(file)
    offsets: dict[str, float] = {}
    lengths: dict[str, float] = {}
    shapes: list[tuple[tuple[float, float], ...]] = []
    loops: list[float] = []
    for route in routes:
        position, lanes = 0.0, built.lanes_of(route, (*route[1:], route[0]))
        for lane in lanes:
            offsets[lane] = position
            lengths[lane] = built.length(lane)
            position += lengths[lane]
        shape = built.shape(lanes)
        shapes.append((*shape, shape[0]))
        loops.append(position)
    if max(loops) - min(loops) > 1e-3:
        raise ValueError(f"loops of different lengths: {min(loops)} m to {max(loops)} m")
    return Network(file, loops[0], offsets, lengths, routes, tuple(shapes))


def read_open_roads(file: Path, routes: tuple[tuple[str, ...], ...]) -> Network:
    """The same of one-lane routes that begin and end; positions of the first begin at 0.

    A route that joins another, or leaves it, has the positions of the other on common lanes. Raises
    ValueError for one that shares no lane with those before it.
    """
    built = _Built(file)
    offsets: dict[str, float] = {}
    ways: dict[str, int] = {}
    first: dict[str, int] = {}
    shapes = []
    for number, route in enumerate(routes):
        lanes = built.lanes_of(route, route[1:])
        starts = list(itertools.accumulate(map(built.length, lanes[:-1]), initial=0.0))
        known = [
            offsets[lane] - start
            for lane, start in zip(lanes, starts, strict=True)
            if lane in offsets
        ]
        if number and not known:
            raise ValueError(f"the route {' '.join(route)} shares no lane with those before it")
        shift = known[0] if known else 0.0
        for lane, start in zip(lanes, starts, strict=True):
            offsets.setdefault(lane, start + shift)
            first.setdefault(lane, number)
            ways[lane] = ways.get(lane, 0) | 1 << number
        shapes.append(built.shape(lanes))
    for route in routes:
        lanes = built.lanes_of(route, route[1:])
        for lane, following in itertools.pairwise(lanes):
            if lane[0] == ":":
                ways[lane] = ways[following]
    lengths = {lane: built.length(lane) for lane in offsets}
    total = sum(lengths.values())
    return Network(file, total, offsets, lengths, routes, tuple(shapes), False, ways, first)


class _Built:
    """Lanes and connections in the file that netconvert wrote."""

    def __init__(self, file: Path) -> None:
        root = ElementTree.parse(file).getroot()
        self._lanes = {lane.attrib["id"]: lane.attrib for lane in root.iter("lane")}
        self._via = {
            (link.attrib["from"], link.attrib["to"]): link.attrib["via"]
            for link in root.iter("connection")
            if "via" in link.attrib
        }

    def lanes_of(self, route: Sequence[str], following: Sequence[str]) -> list[str]:
        """The lanes of a route, each with that inside the junction to the edge that follows, if one does."""
        lanes = []
        for edge, after in itertools.zip_longest(route, following):
            lanes.append(f"{edge}_0")
            if after is not None:
                lanes.append(self._via[edge, after])
        return lanes

    def length(self, lane: str) -> float:
        """In metres."""
        return float(self._lanes[lane]["length"])

    def shape(self, lanes: Iterable[str]) -> tuple[tuple[float, float], ...]:
        """The centre line (m) of these lanes, one after the other."""
        points = [
            point.split(",") for lane in lanes for point in self._lanes[lane]["shape"].split()
        ]
        return tuple((float(x), float(y)) for x, y, *_ in points)
