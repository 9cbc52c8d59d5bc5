"""The reference for the environment: TraCI over a socket, one getter per vehicle and variable.

The same road, vehicles, drivers, observation and reward as `TrafficEnv` of the published scenario, in
the most direct code.
"""

from __future__ import annotations

import contextlib
import io
import math
from types import TracebackType
from typing import Any

import numpy as np
import traci
from numpy.typing import NDArray

from rsm.config.learning import Traffic
from rsm.traffic.environment import TrafficEnv
from rsm.traffic.netconvert import netconvert_binary
from rsm.traffic.simulation import MAX_SEED


class PlainEnvironment:
    """Episodes of `figure-eight` without collisions, driven over a socket."""

    def __init__(self, traffic: Traffic) -> None:
        self.description = TrafficEnv(traffic)  # for its constants and files; never stepped
        self.connection: Any = None  # of traci, while SUMO runs

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Start SUMO anew for the episode of a seed, and observe."""
        self.stop()
        env = self.description
        sumo, noise = np.random.SeedSequence(seed).spawn(2)
        binary = str(netconvert_binary().with_name("sumo"))
        options = env.simulation._options
        number = int(sumo.generate_state(1)[0]) % MAX_SEED
        with contextlib.redirect_stdout(io.StringIO()):
            traci.start([binary, *options, "--seed", str(number)], label=f"plain{id(self)}")
        self.connection = traci.getConnection(f"plain{id(self)}")
        self.noise = np.random.default_rng(noise)
        self.connection.simulationStep()
        for name in env.simulation.ids:
            self.connection.vehicle.setSpeedMode(name, env.scenario.speed_mode)
        return self.observe()

    def step(self, accelerations: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """One simulation step: the observation `[N, 6]` and the reward."""
        env, vehicles = self.description, self.connection.vehicle
        names, length = env.simulation.ids, env.network.length
        noise = self.noise.normal(0.0, env.scenario.driver.noise, env.n_vehicles)
        for name, acceleration in zip(self.learners, accelerations, strict=True):
            limited = np.clip(float(acceleration), -env.action_limit, env.action_limit)
            vehicles.setSpeed(name, max(vehicles.getSpeed(name) + limited * env.dt, 0.0))
        for index, name in enumerate(names):
            if name in self.learners:
                continue
            if vehicles.getLaneID(name).startswith(":"):
                vehicles.setSpeed(name, -1)
                continue
            leader = self.ahead_of(name)
            gap = (self.position(leader) - self.position(name)) % length - vehicles.getLength(
                leader
            )
            speed = vehicles.getSpeed(name)
            acceleration = idm(speed, gap, vehicles.getSpeed(leader)) + noise[index]
            vehicles.setSpeed(name, max(speed + acceleration * env.dt, 0.0))
        self.connection.simulationStep()
        speeds = [vehicles.getSpeed(name) for name in names]
        return self.observe(), min(float(np.mean(speeds)) / env.limit, 1.0)

    def observe(self) -> NDArray[np.float32]:
        """Own, follower's and leader's position and speed of every learning vehicle."""
        env, vehicles = self.description, self.connection.vehicle
        rows = []
        for name in self.learners:
            row = []
            for other in (name, self.behind(name), self.ahead_of(name)):
                row.append(self.position(other) / env.network.length)
                row.append(vehicles.getSpeed(other) / env.limit)
            rows.append(row)
        return np.array(rows, dtype=np.float32)

    @property
    def learners(self) -> list[str]:
        """Names of the learning vehicles."""
        return [self.description.simulation.ids[index] for index in self.description.learners]

    def position(self, name: str) -> float:
        """Metres along the loop."""
        vehicles = self.connection.vehicle
        offset = self.description.network.offsets[vehicles.getLaneID(name)]
        return offset + vehicles.getLanePosition(name)

    def ahead_of(self, name: str) -> str:
        """The next vehicle along the loop: nobody overtakes, so it is the next by number."""
        names = self.description.simulation.ids
        return names[(names.index(name) + 1) % len(names)]

    def behind(self, name: str) -> str:
        """The vehicle that follows."""
        names = self.description.simulation.ids
        return names[names.index(name) - 1]

    def stop(self) -> None:
        """End SUMO, if it runs."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __enter__(self) -> PlainEnvironment:
        """Itself, stopped at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()
        self.description.close()


def idm(speed: float, gap: float, leader_speed: float) -> float:
    """Acceleration of the intelligent driver model with the published experiment's parameters, m/s²."""
    if abs(gap) < 1e-3:
        gap = 1e-3
    wanted = 2.0 + max(0.0, speed + speed * (speed - leader_speed) / (2 * math.sqrt(1.5 * 1.5)))
    return 1.5 * (1.0 - (speed / 20.0) ** 4 - (wanted / gap) ** 2)
