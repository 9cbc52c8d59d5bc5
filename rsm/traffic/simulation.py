"""SUMO in this process (libsumo): vehicles on a road, commanded by target speeds.

libsumo holds one simulation per process. `Simulation.reset` loads it anew, so several environments
may live in one process as long as they take turns episode by episode; an environment whose
simulation was replaced says so at its next step instead of driving somebody else's vehicles.

The per-step calls go to the C functions below libsumo's Python wrappers, with plain floats and
lists: the wrappers and small numpy arrays each cost as much as the simulation step itself.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import operator
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from rsm.errors import ConfigError, RunError, one_line, shown
from rsm.traffic.car_following import RELEASE
from rsm.traffic.netconvert import INSTALL
from rsm.traffic.roads.road import Road
from rsm.traffic.routes import routes_xml
from rsm.traffic.scenarios import Scenario

MAX_SEED = 2**31 - 1  # of SUMO's --seed


class Simulation:
    """Vehicles of one scenario on its road.

    After `reset` and after every `step`, plain lists hold the state of the i-th vehicle on the road:
    `speed[i]` (m/s), `position[i]` (m along its route, of its front), `lane[i]` (its lane, empty while SUMO
    teleports it); `collided` has the vehicle that ran into another for every collision that began in the
    last step, `teleported` is the number of vehicles that began to teleport.

    On an open road the lists have who is there, in the order of entering. `ids[i]` is the name of vehicle
    i, which begins with its kind, `index` the way back. `numbers[i]` counts who has entered, from 0, and
    `entered` is how many have. The lists are new ones after a step in which somebody came or left.
    """

    def __init__(self, scenario: Scenario, road: Road, horizon: int) -> None:
        """Prepare routes for `horizon` steps.

        Raises ConfigError where libsumo is missing.
        """
        network = road.network
        self.scenario, self.network = scenario, network
        self._libsumo = import_libsumo()
        self._call: Any = self._libsumo._libsumo
        self.errors = (self._libsumo.TraCIException, self._libsumo.FatalTraCIError)
        self._first = [f"{kind}{index}" for index, kind in enumerate(scenario.kinds)]
        self._open = not network.closed
        self._admit(self._first)
        self._folder = tempfile.TemporaryDirectory(prefix="rsm-sumo-")
        routes = Path(self._folder.name) / "vehicles.rou.xml"
        text = routes_xml(scenario, road, self.ids, horizon)
        routes.write_text(text, encoding="utf-8")
        self._options = ["--net-file", sumo_path(network.file, "RSM_CACHE")]
        self._options += ["--route-files", sumo_path(routes, "TMPDIR")]
        self._options += ["--step-length", str(scenario.dt), "--xml-validation", "never"]
        # Flow's options: no teleport of vehicles that wait, collisions also inside junctions.
        self._options += ["--time-to-teleport", "-1", "--collision.check-junctions", "true"]
        self._options += ["--collision.action", "teleport"]
        self._options += ["--no-step-log", "true", "--no-warnings", "true"]
        self.collided: list[int] = []
        self.teleported = 0
        fastest = 2.0 * max(scenario.limit, scenario.human.max_speed, scenario.learner.max_speed)
        reach = fastest * scenario.dt
        self._short_lanes = {lane for lane, length in network.lengths.items() if length <= reach}
        self._absent = False

    def reset(self, seed: int) -> None:
        """Reload and insert every vehicle at rest at its place. The same seed gives bitwise equal results.

        `load` is used even though a saved state would be quicker: a second episode after SUMO's
        `loadState` was not bit-identical.
        """
        global _owner
        options = [*self._options, "--seed", str(seed % MAX_SEED)]
        if self._libsumo.simulation.isLoaded():
            self._libsumo.load(options)
        else:
            self._libsumo.start(["sumo", *options])
        _owner = self
        self._call.simulation_step(0.0)
        present = set(self._call.vehicle_getIDList())
        missing = [name for name in self._first if name not in present]
        if missing:
            raise RunError(f"SUMO did not insert the vehicles {', '.join(missing)}")
        for name in self._first:
            self._call.vehicle_setSpeedMode(name, self.scenario.speed_mode)
        if self._open:
            self._admit(self._first)
        self._commanded = [False] * len(self.ids)
        self._along = [math.inf] * len(self.ids)
        self._absent = False
        self.collided, self.teleported = [], 0
        self._read()

    def _admit(self, ids: list[str]) -> None:
        """These vehicles, and no others, are on the road."""
        count = len(ids)
        self.ids, self.numbers, self.entered = ids, list(range(count)), count
        self.index = {name: index for index, name in enumerate(ids)}
        self.speed, self.position, self.lane = [0.0] * count, [0.0] * count, [""] * count
        self._along, self._offset = [math.inf] * count, [0.0] * count
        self._on_short_lane: set[int] = set()
        self._all = range(count)
        self._commanded = [False] * count

    def _come_and_go(self) -> None:
        """Take out who has left the road, and add who has entered it."""
        call = self._call
        departed = call.simulation_getDepartedIDList()
        gone = set(call.simulation_getArrivedIDList())
        for name in departed:
            call.vehicle_setSpeedMode(name, self.scenario.speed_mode)
        stay = [index for index, name in enumerate(self.ids) if name not in gone]
        new = [name for name in departed if name not in gone]
        self.ids = [self.ids[index] for index in stay] + new
        self.numbers = [self.numbers[index] for index in stay]
        self.numbers += range(self.entered, self.entered + len(new))
        self.entered += len(new)
        self.index = {name: index for index, name in enumerate(self.ids)}
        self.lane = [self.lane[index] for index in stay] + [""] * len(new)
        self._offset = [self._offset[index] for index in stay] + [0.0] * len(new)
        self._along = [self._along[index] for index in stay] + [math.inf] * len(new)
        self._commanded = [self._commanded[index] for index in stay] + [False] * len(new)
        short = self._on_short_lane
        self._on_short_lane = {place for place, index in enumerate(stay) if index in short}
        self._all = range(len(self.ids))

    def command(self, targets: Iterable[tuple[int, float]]) -> None:
        """Vehicles and their target speeds (m/s) from the next step on; RELEASE hands one to SUMO.

        Raises RuntimeError if the simulation was replaced.
        """
        self._require_ownership()
        set_speed, names, commanded = self._call.vehicle_setSpeed, self.ids, self._commanded
        for index, speed in targets:
            if speed >= 0.0:
                set_speed(names[index], speed)
                commanded[index] = True
            elif commanded[index]:
                set_speed(names[index], RELEASE)
                commanded[index] = False

    def step(self) -> None:
        """Advance by one step and read the state; raises RuntimeError if the simulation was replaced."""
        self._require_ownership()
        call = self._call
        call.simulation_step(0.0)
        self.teleported = call.simulation_getStartingTeleportNumber()
        self.collided = []
        if self.teleported:
            # With the action "teleport" every collision starts a teleport in the same step.
            events = call.simulation_getCollisions()
            self.collided = [self.index[event.collider] for event in events]
            self._absent = True
        if self._open and (
            call.simulation_getDepartedNumber() or call.simulation_getArrivedNumber()
        ):
            self._come_and_go()
        self._read()

    def xy(self) -> list[tuple[float, float]]:
        """Where the front of every vehicle is, in metres; NaN while SUMO teleports it."""
        self._require_ownership()
        nan = float("nan")
        get = self._call.vehicle_getPosition
        return [
            tuple(get(name)[:2]) if lane else (nan, nan)
            for name, lane in zip(self.ids, self.lane, strict=True)
        ]

    def close(self) -> None:
        """End the simulation if it is still ours, and remove the route file."""
        global _owner
        if _owner is self:
            _owner = None
            self._libsumo.close()
        self._folder.cleanup()

    def _require_ownership(self) -> None:
        if _owner is not self:
            raise RuntimeError(
                "this environment has no running simulation: libsumo holds one per process, and it "
                "was closed or another environment was reset since; call reset() first"
            )

    def _read(self) -> None:
        call, names = self._call, self.ids
        if self._absent:
            self._read_with_absent()
            return
        self.speed = list(map(call.vehicle_getSpeed, names))
        along = list(map(call.vehicle_getLanePosition, names))
        # Asking SUMO for a lane is slow. A vehicle that moves on to the next lane has a smaller distance
        # along it than before, unless the lane it left is shorter than a step. So only vehicles whose
        # distance became smaller, and those on such short lanes, are asked for their lane.
        if self._on_short_lane or any(map(operator.lt, along, self._along)):
            back = itertools.compress(self._all, map(operator.lt, along, self._along))
            for i in self._on_short_lane.union(back):
                lane = self.lane[i] = call.vehicle_getLaneID(names[i])
                self._offset[i] = self.network.offsets[lane]
                if lane in self._short_lanes:
                    self._on_short_lane.add(i)
                else:
                    self._on_short_lane.discard(i)
        self._along = along
        self.position = list(map(operator.add, self._offset, along))

    def _read_with_absent(self) -> None:
        """As `_read` while vehicles teleport: they stand where they vanished, with speed 0."""
        call = self._call
        present = set(call.vehicle_getIDList())
        self._absent = False
        self._along = [math.inf] * len(self.ids)  # so that the next `_read` asks for every lane
        for i, name in enumerate(self.ids):
            lane = call.vehicle_getLaneID(name) if name in present else ""
            self.lane[i] = lane
            if lane:
                self.speed[i] = call.vehicle_getSpeed(name)
                self.position[i] = self.network.offsets[lane] + call.vehicle_getLanePosition(name)
            else:
                self.speed[i] = 0.0
                self._absent = True


# libsumo holds one simulation per process: this is the Simulation whose vehicles it holds at present.
_owner: Simulation | None = None


def import_libsumo() -> ModuleType:
    """libsumo, without its notice about pyarrow on standard output; raises ConfigError."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import libsumo  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"traffic: libsumo is not usable ({reason}): {INSTALL}") from None
    if (wrong := wrong_libsumo(libsumo)) is not None:
        raise ConfigError(f"environment: PYTHONPATH: {wrong}")
    return libsumo  # type: ignore[no-any-return, unused-ignore]


def sumo_path(file: Path, variable: str) -> str:
    """The name of a file as an option of SUMO, which reads ',' as a list and '${' as a variable.

    Nothing escapes them: raises ConfigError that names the folder, and the variable that gives another.
    """
    for sign in (",", "${"):
        if sign in str(file):
            raise ConfigError(
                f"environment: {variable}: {shown(str(file.parent))} is not allowed: SUMO cannot read "
                f"files in a folder with {sign!r} in its name; set {variable} to another"
            )
    return str(file)


def wrong_libsumo(libsumo: ModuleType) -> str | None:
    """Why this is not the libsumo that is installed, None where it is.

    SUMO_HOME/tools, which its handbook puts on PYTHONPATH, holds one of another version.
    """
    loaded = str(libsumo.getVersion()[1]).removeprefix("SUMO ")
    try:
        installed = metadata.version("libsumo")
    except metadata.PackageNotFoundError:
        return None
    if loaded.startswith(installed):
        return None
    return (
        f"libsumo {loaded} is loaded from {one_line(Path(str(libsumo.__file__)).parent)}, not the installed "
        f"{installed}: leave that folder out"
    )
