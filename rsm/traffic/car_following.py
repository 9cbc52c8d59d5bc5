"""The human driver: the intelligent driver model (IDM) with acceleration noise.

Source: Treiber, Hennecke, Helbing, Phys. Rev. E 62 (2000) 1805, with the parameters of the Flow
benchmarks (scenarios.md). Plain floats: at 14 vehicles small arrays cost more than SUMO's own step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HumanDriver:
    """Parameters of the IDM."""

    v0: float = 30.0  # desired speed, m/s
    headway: float = 1.0  # T, s
    accel: float = 1.0  # a, m/s²
    decel: float = 1.5  # b, comfortable, m/s²
    delta: float = 4.0  # exponent
    s0: float = 2.0  # jam distance, m
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
