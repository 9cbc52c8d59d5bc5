"""The world of a configuration: which agents are unlike the others, how frames travel, and on which roads.

A study may vary it beside the method. Figures have a panel or a row per world; comparisons stay within one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from rsm.config.catalogue import CONTROL, METHODS, parse_scenario
from rsm.config.exchanging import Communication
from rsm.config.run import RunConfig

EQUAL = "equal agents"
_BY = " by "  # before the kind of an attack
_WITH = " with "  # behind the roads


def worlds(configs: Iterable[RunConfig]) -> Mapping[str, str | None]:
    """Configuration → its world in words; None for a control, to which all agents are alike.

    The scenario is named where it is not that of the study's first run that learns.
    """
    every = list(configs)
    usual = next((config.traffic.scenario for config in every if config.learns), None)
    return {config.configuration: _world(config, usual) for config in every}


def _world(config: RunConfig, usual: str | None) -> str | None:
    if not config.learns:
        return None
    words, attack = [], config.attack
    # Without exchange it makes no difference what attackers would send, whose radio is off, how frames travel.
    exchanges = METHODS.get(config.method, CONTROL).exchanges
    if exchanges and takes_time(config):
        words.append(_channel(config.communication))
    if config.slow.agents and config.slow.factor > 1:
        words.append(f"{config.slow.agents} slow {config.slow.factor}×")
    if config.restarts.agents:
        words.append(f"{config.restarts.agents} new at episode {config.restarts.episode}")
    if config.churn.rate and (exchanges or "churn.rate" in config.varied):
        words.append(f"{config.churn.rate:g} absences/h of {config.churn.absence:g} s")
    if attack.agents:
        told = exchanges or "attack.kind" in config.varied
        who = "attackers" if attack.agents > 1 else "attacker"
        words.append(f"{attack.agents} {who}{f'{_BY}{attack.kind}' if told else ''}")
    unlike = " and ".join(words)
    if config.traffic.scenario == usual:
        return unlike or EQUAL
    return f"{config.traffic.scenario}{_WITH}{unlike}" if unlike else config.traffic.scenario


def takes_time(config: RunConfig) -> bool:
    """Whether a delay or a bandwidth is set. The channel with its losses is of the world then."""
    return config.communication.delay != "none" or config.communication.bandwidth is not None


def _channel(channel: Communication) -> str:
    words = []
    if channel.delay != "none":
        kind = "" if channel.delay == "lognormal" else f"{channel.delay} "
        words.append(f"{kind}delay {channel.delay_mean:g} s")
    if channel.bandwidth is not None:
        words.append(f"{channel.bandwidth * 8 / 1000:g} kbit/s")
    if channel.loss_rate:
        words.append(f"{100 * channel.loss_rate:g} % loss")
    return " + ".join(words)


def listed(frame: pd.DataFrame) -> list[str]:
    """The worlds of a frame in its order; one of those that send nothing is no other world."""
    if "world" not in frame:  # figure data of an earlier version
        return []
    found = [str(world) for world in dict.fromkeys(frame["world"].dropna())]
    return [world for world in found if not any(x.startswith(world + _BY) for x in found)]


def on_other_roads(frame: pd.DataFrame) -> bool:
    """Whether the worlds of a frame name their roads: not those that the controls of the study drive on."""
    for world in listed(frame):
        try:
            parse_scenario(world.partition(_WITH)[0])
        except ValueError:
            continue
        return True
    return False


def in_world(frame: pd.DataFrame, world: str) -> pd.DataFrame:
    """Rows of that world, be what is sent there told or not, and rows that have none."""
    same = [
        not isinstance(own, str)
        or own == world
        or own.startswith(world + _BY)
        or world.startswith(own + _BY)
        for own in frame["world"]
    ]
    return frame[np.array(same, dtype=np.bool_)]
