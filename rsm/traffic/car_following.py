"""Human drivers: the intelligent driver model (IDM) with acceleration noise, and who follows whom.

Source: Treiber, Hennecke, Helbing, Phys. Rev. E 62 (2000) 1805. Parameters belong to the scenario.
Plain floats: at 14 vehicles small arrays cost more than SUMO's own step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RELEASE = -1.0  # target speed that leaves a vehicle to SUMO's own car-following
_MANY_VEHICLES = 42  # from this number on, arrays are quicker than a loop over the vehicles
_NOISE_BLOCK = 256  # steps of noise drawn at once; the stream does not depend on it


@dataclass(frozen=True)
class HumanDriver:
    """Parameters of the IDM and of its acceleration noise."""

    v0: float = 30.0  # desired speed, m/s
    headway: float = 1.0  # T, s
    accel: float = 1.0  # a, m/s²
    decel: float = 1.5  # b, comfortable, m/s²
    delta: float = 4.0  # exponent
    s0: float = 2.0  # jam distance, m
    noise: float = 0.0  # standard deviation of the Gaussian noise of one simulation step, m/s²
    _braking: float = field(init=False, repr=False)  # 2√(ab), m/s²: the same at every call

    def __post_init__(self) -> None:
        """Root once, not per vehicle and step."""
        object.__setattr__(self, "_braking", 2.0 * math.sqrt(self.accel * self.decel))

    def acceleration(self, speed: float, gap: float, leader_speed: float) -> float:
        """IDM acceleration in m/s², without noise.

        `gap` is bumper to bumper (m); one of nearly nothing counts as a millimetre, as in Flow.
        """
        if -1e-3 < gap < 1e-3:
            gap = 1e-3
        closing = speed * (speed - leader_speed) / self._braking
        dynamic = speed * self.headway + closing
        wanted = self.s0 + dynamic if dynamic > 0.0 else self.s0
        free: float = (speed / self.v0) ** self.delta
        return self.accel * (1.0 - free - (wanted / gap) ** 2)

    def accelerations(self, speed: Floats, gap: Floats, leader_speed: Floats) -> Floats:
        """The same for arrays: worth its calls from some dozens of vehicles on."""
        gap = np.where(np.abs(gap) < 1e-3, 1e-3, gap)
        closing = speed * (speed - leader_speed) / self._braking
        wanted = self.s0 + np.maximum(speed * self.headway + closing, 0.0)
        free = (speed / self.v0) ** self.delta
        result: Floats = self.accel * (1.0 - free - (wanted / gap) ** 2)
        return result


class HumanTraffic:
    """The human drivers of an episode, with the noise of each.

    The noise of a step is drawn for all V vehicles, whoever drives them, so that the stream does not
    depend on that.
    """

    def __init__(
        self,
        driver: HumanDriver,
        car_length: Sequence[float],
        loop_length: float,
        dt: float,
        junction: str,
    ) -> None:
        """`car_length: [V]` and `loop_length` in m, `dt` in s, `junction` as `traffic.junction`."""
        self._driver, self._car_length = driver, list(car_length)
        self._length, self._dt = loop_length, dt
        self._sumo_drives_inside = junction == "sumo"
        self._noise: Iterator[Floats] = iter(())
        self._many = len(self._car_length) >= _MANY_VEHICLES
        # Of many, who drives ahead of each and how long that vehicle is, while `ahead` is the same list.
        self._followed: tuple[Sequence[int], NDArray[np.intp], Floats] | None = None

    def begin(self, generator: np.random.Generator) -> None:
        """A new episode, with its noise."""
        self._noise = self._draw_noise(generator)

    def commands(
        self,
        vehicles: Iterable[int],
        position: Sequence[float],
        speed: Sequence[float],
        lane: Sequence[str],
        ahead: Sequence[int],
    ) -> list[tuple[int, float]]:
        """These vehicles and their target speeds (m/s) for the next step; to be called once a step.

        Of all V: `position` (m along the loop), `speed` (m/s), `lane` (empty for a vehicle that is
        away, which gets no command), `ahead` (who drives ahead). A vehicle inside a junction gets
        RELEASE where SUMO drives there.
        """
        drawn = next(self._noise)
        if self._many:
            return self._commands_of_many(vehicles, drawn, position, speed, lane, ahead)
        noise: list[float] = drawn.tolist()
        length, dt, car_length = self._length, self._dt, self._car_length
        drive = self._driver.acceleration
        targets = []
        for vehicle in vehicles:
            name = lane[vehicle]
            if not name:
                continue
            if self._sumo_drives_inside and name[0] == ":":
                # Flow's rule: no command inside a junction, SUMO's own car-following drives there.
                targets.append((vehicle, RELEASE))
                continue
            leader, own = ahead[vehicle], speed[vehicle]
            gap = (position[leader] - position[vehicle]) % length - car_length[leader]
            target = own + (drive(own, gap, speed[leader]) + noise[vehicle]) * dt
            # Compared, since a call of max costs more than the arithmetic.
            targets.append((vehicle, 0.0 if target < 0.0 else target))
        return targets

    def _commands_of_many(
        self,
        vehicles: Iterable[int],
        noise: Floats,
        position: Sequence[float],
        speed: Sequence[float],
        lane: Sequence[str],
        ahead: Sequence[int],
    ) -> list[tuple[int, float]]:
        """The same by arrays, as if the driver sat in every vehicle."""
        if self._followed is None or self._followed[0] is not ahead:
            leaders = np.array(ahead)
            self._followed = ahead, leaders, np.array(self._car_length)[leaders]
        _, leaders, lengths = self._followed
        places, speeds = np.array(position), np.array(speed)
        gap = (places[leaders] - places) % self._length - lengths
        driven = self._driver.accelerations(speeds, gap, speeds[leaders]) + noise
        further = speeds + driven * self._dt
        further[further < 0.0] = 0.0
        targets: list[float] = further.tolist()
        if self._sumo_drives_inside:
            return [
                (vehicle, RELEASE if name[0] == ":" else targets[vehicle])
                for vehicle in vehicles
                if (name := lane[vehicle])
            ]
        return [(vehicle, targets[vehicle]) for vehicle in vehicles if lane[vehicle]]

    def _draw_noise(self, generator: np.random.Generator) -> Iterator[Floats]:
        """Acceleration noise (m/s²) of every vehicle `[V]`, step by step."""
        shape = (_NOISE_BLOCK, len(self._car_length))
        while True:
            yield from generator.normal(0.0, self._driver.noise, shape)


def neighbours(positions: Sequence[float], present: Sequence[bool]) -> tuple[list[int], list[int]]:
    """Leader and follower of every vehicle of one loop, by position (m) along it.

    A vehicle that is not `present` is nobody's neighbour and still has neighbours itself. Where no
    other vehicle is present, a vehicle is its own neighbour.
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    count = len(order)
    ahead, behind = list(range(count)), list(range(count))
    for place, vehicle in enumerate(order):
        circle = [order[(place + offset) % count] for offset in range(1, count)]
        ahead[vehicle] = next((other for other in circle if present[other]), vehicle)
        behind[vehicle] = next((other for other in reversed(circle) if present[other]), vehicle)
    return ahead, behind
