"""SUMO networks: built by netconvert from plain XML, kept in a cache folder, read back.

Options of netconvert are those of Flow (flow-project/flow, flow/core/kernel/network/traci.py). Lengths are
read from the network that netconvert built, never from tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rsm.errors import ConfigError, one_line, shown

INSTALL = "pip install eclipse-sumo==1.28.* libsumo==1.28.*"

Place = tuple[str, float]  # an edge, and metres along it


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


def built_network(parts: dict[str, str], routes: tuple[tuple[str, ...], ...]) -> Network:
    """The network of these plain XML parts with its closed routes, built where the cache has none.

    Raises ConfigError where netconvert is missing or fails.
    """
    file = build_network(parts)
    try:
        return read_network(file, routes)
    except (ElementTree.ParseError, LookupError, ValueError):
        file.unlink(missing_ok=True)  # damaged, say by a power cut: it is only a cache
        return read_network(build_network(parts), routes)


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
