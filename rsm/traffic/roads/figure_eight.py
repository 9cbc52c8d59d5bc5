"""The figure-eight road: plain node and edge descriptions, built into a SUMO network by netconvert.

Geometry and numbers follow Flow's figure-eight network (flow-project/flow,
flow/networks/figure_eight.py; netconvert options in flow/core/kernel/network/traci.py). Lengths are
read back from the network that netconvert built, never from tables.
"""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from rsm.errors import ConfigError, shown

INSTALL = "pip install eclipse-sumo==1.28.* libsumo==1.28.*"
ROUTE = ("bottom", "top", "upper_ring", "right", "left", "lower_ring")

Place = tuple[str, float]  # an edge, and metres along it

# Where Flow places 14 vehicles, in the order of driving: 28.77 m apart by its own table of edges, with
# those that would be inside a junction put behind it (scenarios.md).
FLOW_STARTS: tuple[Place, ...] = (
    ("bottom", 0.0),
    ("top", 0.0),
    ("top", 28.77),
    ("upper_ring", 27.25),
    ("upper_ring", 56.02),
    ("upper_ring", 84.79),
    ("upper_ring", 113.56),
    ("right", 0.67),
    ("right", 29.44),
    ("left", 22.01),
    ("lower_ring", 20.49),
    ("lower_ring", 49.26),
    ("lower_ring", 78.03),
    ("lower_ring", 106.80),
)


@dataclass(frozen=True)
class Network:
    """Closed one-lane loops of one length that netconvert built; mostly one.

    `offsets` maps every lane to the loop position (m) of its beginning, loop by loop in the order of
    driving and with the short lanes inside junctions (their names begin with ':') among them;
    `lengths` likewise. `routes` has the edges of each loop, `shapes` its centre line (x, y) in
    metres, closed, as it is drawn.
    """

    file: Path
    length: float
    offsets: dict[str, float]
    lengths: dict[str, float]
    routes: tuple[tuple[str, ...], ...]
    shapes: tuple[tuple[tuple[float, float], ...], ...]

    def place(self, position: float, loop: int = 0) -> Place:
        """Edge and distance along it (m) for a loop position (m), never inside a junction.

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


@lru_cache(maxsize=8)
def figure_eight(limit: float, radius: float = 30.0, points: int = 40, loops: int = 1) -> Network:
    """The figure eight with a speed limit in m/s; `radius` in metres, `points` per ring.

    `loops` separate copies of it lie 10 radii apart, row by row. Built once per content into the
    cache folder; raises ConfigError where netconvert is missing or fails.
    """
    parts = figure_eight_xml(limit, radius, points, loops)
    routes = tuple(tuple(edge + copy_suffix(loop) for edge in ROUTE) for loop in range(loops))
    file = build_network(parts)
    try:
        return read_network(file, routes)
    except (ElementTree.ParseError, LookupError, ValueError):
        file.unlink(missing_ok=True)  # damaged, say by a power cut: it is only a cache
        return read_network(build_network(parts), routes)


def start_places(network: Network, per_loop: int) -> tuple[Place, ...]:
    """Where `per_loop` vehicles of every loop start, loop by loop in the order of driving.

    As in Flow where there are 14 of them, else evenly spread.
    """
    loops = range(len(network.routes))
    if per_loop == len(FLOW_STARTS):
        return tuple(
            (edge + copy_suffix(loop), along) for loop in loops for edge, along in FLOW_STARTS
        )
    spacing = network.length / per_loop
    return tuple(network.place(seat * spacing, loop) for loop in loops for seat in range(per_loop))


def copy_suffix(loop: int) -> str:
    """What tells the nodes and edges of a copy of the loop from those of the first."""
    return f".{loop}" if loop else ""


def figure_eight_xml(limit: float, radius: float, points: int, loops: int = 1) -> dict[str, str]:
    """Plain XML of nodes, edges and connections, by the netconvert option that takes it."""
    nodes, edges, connections = map(ElementTree.Element, ("nodes", "edges", "connections"))
    columns = math.ceil(math.sqrt(loops))
    for loop in range(loops):
        row, column = divmod(loop, columns)
        place = (10 * radius * column, 10 * radius * row)
        _add_loop(nodes, edges, connections, copy_suffix(loop), place, limit, radius, points)
    parts = {"node-files": nodes, "edge-files": edges, "connection-files": connections}
    return {option: ElementTree.tostring(part, "unicode") for option, part in parts.items()}


def _add_loop(
    nodes: ElementTree.Element,
    edges: ElementTree.Element,
    connections: ElementTree.Element,
    suffix: str,
    place: tuple[float, float],
    limit: float,
    radius: float,
    points: int,
) -> None:
    """One figure eight with its crossing at `place` (m); names end in `suffix`."""
    r, (x0, y0) = radius, place
    places = {"center": (0, 0), "right": (r, 0), "top": (0, r), "left": (-r, 0), "bottom": (0, -r)}
    for name, (x, y) in places.items():
        # Adding the float 0.0 to a whole 0 would write "0.0": another file, and another cached name.
        at = {"x": f"{x + x0 if x0 else x}", "y": f"{y + y0 if y0 else y}"}
        node = ElementTree.SubElement(nodes, "node", {"id": name + suffix} | at, type="priority")
        if name == "center":
            node.set("radius", "3.1")  # (2.9 + 3.3 · lanes) / 2 in Flow

    def edge(name: str, start: str, end: str, length: float, **more: str) -> None:
        ElementTree.SubElement(
            edges,
            "edge",
            {"id": name + suffix, "from": start + suffix, "to": end + suffix}
            | {"length": repr(length), "numLanes": "1", "speed": repr(float(limit))}
            | more,
        )

    edge("bottom", "bottom", "center", r, priority="78")
    edge("top", "center", "top", r, priority="78")
    edge("right", "right", "center", r, priority="46")  # this stream yields
    edge("left", "center", "left", r, priority="46")
    upper = [
        (x0 + r - r * math.cos(t), y0 + r + r * math.sin(t)) for t in three_quarters(0.0, points)
    ]
    lower = [
        (x0 - r + r * math.cos(t), y0 - r + r * math.sin(t)) for t in three_quarters(0.25, points)
    ]
    ring = 1.5 * math.pi * r
    edge("upper_ring", "top", "right", ring, shape=polyline(upper))
    edge("lower_ring", "left", "bottom", ring, shape=polyline(lower))
    for start, end in (("bottom", "top"), ("right", "left")):
        ends = {"from": start + suffix, "to": end + suffix}
        ElementTree.SubElement(connections, "connection", ends | {"fromLane": "0", "toLane": "0"})


def three_quarters(turn: float, points: int) -> list[float]:
    """Angles (rad) of a 3/4 circle that begins after `turn` of a full turn."""
    return [2 * math.pi * (turn + 0.75 * i / (points - 1)) for i in range(points)]


def polyline(points: list[tuple[float, float]]) -> str:
    """Points (m) as SUMO writes a shape."""
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def netconvert_binary() -> Path:
    """The netconvert of the eclipse-sumo wheel; raises ConfigError where it is missing."""
    try:
        import sumo  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ConfigError(f"traffic: netconvert is not installed: {INSTALL}") from None
    binary = Path(sumo.SUMO_HOME) / "bin" / "netconvert"
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
        command += ["--xml-validation", "never", "--output-file", str(build / "net.xml")]
        for option, text in parts.items():
            (build / f"{option}.xml").write_text(text, encoding="utf-8")
            command += [f"--{option}", str(build / f"{option}.xml")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not (build / "net.xml").is_file():
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
            raise ConfigError(f"traffic: netconvert failed: {reason}; try {INSTALL}")
        os.replace(build / "net.xml", target)
    return target


def read_network(file: Path, routes: tuple[tuple[str, ...], ...]) -> Network:
    """Lane offsets, loop length and centre lines of closed one-lane routes in a built network.

    Raises ValueError where the loops differ in length by more than a millimetre.
    """
    root = ElementTree.parse(file).getroot()
    lanes = {lane.attrib["id"]: lane.attrib for lane in root.iter("lane")}
    via = {
        (link.attrib["from"], link.attrib["to"]): link.attrib["via"]
        for link in root.iter("connection")
        if "via" in link.attrib
    }
    offsets: dict[str, float] = {}
    lengths: dict[str, float] = {}
    shapes: list[tuple[tuple[float, float], ...]] = []
    loops: list[float] = []
    for route in routes:
        shape: list[tuple[float, float]] = []
        position = 0.0
        for edge, following in zip(route, route[1:] + route[:1], strict=True):
            for lane in (f"{edge}_0", via[edge, following]):
                offsets[lane] = position
                lengths[lane] = float(lanes[lane]["length"])
                position += lengths[lane]
                for point in lanes[lane]["shape"].split():
                    x, y = point.split(",")[:2]
                    shape.append((float(x), float(y)))
        shapes.append((*shape, shape[0]))
        loops.append(position)
    if max(loops) - min(loops) > 1e-3:
        raise ValueError(f"loops of different lengths: {min(loops)} m to {max(loops)} m")
    return Network(file, loops[0], offsets, lengths, routes, tuple(shapes))
