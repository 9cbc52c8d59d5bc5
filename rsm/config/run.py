"""What one run is: frozen models of its settings, with the published experiment as defaults.

Every unknown key is an error. The JSON schema of a study is generated from these models
(`rsm schema`), and a test fails when the committed file differs. The sections stand in
learning.py and exchanging.py, what does not go together in combinations.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from rsm.config.axes import AXES, setting
from rsm.config.base import Settings
from rsm.config.catalogue import (
    CONTROL,
    METHODS,
    UNTRAINED,
    check_extensions,
    scenario_traits,
)
from rsm.config.combinations import COMBINATIONS
from rsm.config.exchanging import (
    STATES,
    Attack,
    Churn,
    Communication,
    Mixing,
    Restarts,
    Slow,
)
from rsm.config.learning import Evaluation, Gate, InitFrom, Sac, Tracking, Traffic, Training
from rsm.config.loading import explain, load_yaml
from rsm.config.names import MethodName
from rsm.errors import ConfigError, one_line

# To be raised with every changed default, since the hash of settings leaves defaults out.
SETTINGS_VERSION = 2


class RunSettings(Settings):
    """The settings that the runs of a study share."""

    traffic: Traffic = Traffic()
    sac: Sac = Sac()
    communication: Communication = Communication()
    mixing: Mixing = Mixing()
    slow: Slow = Slow()
    restarts: Restarts = Restarts()
    churn: Churn = Churn()
    attack: Attack = Attack()
    init_from: InitFrom = InitFrom()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    tracking: Tracking = Tracking()


class RunConfig(RunSettings):
    """Everything that decides the numbers of one run."""

    varied: tuple[str, ...] = Field(
        (),
        strict=False,
        description="Dotted keys of settings that the grid of a study varies beside those with a key of their "
        "own: words of the run id.",
    )
    method: MethodName = Field("rsm", description="The method, or the control that drives instead.")
    seed: int = Field(0, ge=0, le=9_999, description="Seed of every random stream of the run.")

    @model_validator(mode="after")
    def _settings_go_together(self) -> RunConfig:
        for check in COMBINATIONS:
            check(self)
        return self

    @property
    def learns(self) -> bool:
        """False for a control."""
        return self.method in METHODS

    @property
    def measures_gate(self) -> bool:
        """Whether the run leaves the table `gate`."""
        return self.gate.replicas > 0 and METHODS.get(self.method, CONTROL).judged

    @property
    def own_returns(self) -> bool:
        """Whether every agent has a return of its own; else all have one team reward."""
        return scenario_traits(self.traffic.scenario).own_returns

    @property
    def begins_from(self) -> str | None:
        """The folder of the run whose policies this one begins with; None for a script or random parameters."""
        return self.init_from.run if self.learns or self.method == UNTRAINED else None

    @property
    def driven(self) -> Traffic:
        """What is driven: `traffic`; a scripted control decides by accelerations, whatever learners do."""
        if self.learns or self.method == UNTRAINED:
            return self.traffic
        return self.traffic.model_copy(update={"actions": "acceleration", "observation": None})

    @property
    def axes(self) -> dict[str, Any]:
        """What a grid can vary between runs of this method, seeds apart; None where it has no such thing."""
        traits = METHODS.get(self.method, CONTROL)
        return {
            axis.name: setting(self, axis.setting) if axis.has(traits) else None for axis in AXES
        }

    @property
    def settings_hash(self) -> str:
        """Twelve hex digits that guard a run folder: same settings, same hash.

        Settings at the default of this version are left out, so that a new setting with a
        neutral default changes no hash; a changed default is a new version. `training.episodes` is left out
        too, since a run may be continued, and `varied`, `tracking` and `training.keep_checkpoint`, which
        decide no number. Of `init_from` the content of the policy file counts, not its path; the path stands in
        where there is no such file (yet).
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        for key in ("varied", "tracking"):
            content.pop(key, None)
        for key in ("episodes", "keep_checkpoint"):
            content.get("training", {}).pop(key, None)
        if self.init_from.run is None:
            content.pop("init_from", None)
        elif digest := self.init_from.sha256 or policy_digest(Path(self.init_from.run)):
            # The content of the policy file counts, not its path.
            content["init_from"] |= {"run": "", "sha256": digest}
        # How many states are judged counts, not whether it was written.
        states = self.mixing.judged_states
        mixing = self.mixing.model_copy(update={"states": None if states == STATES else states})
        content["mixing"] = mixing.model_dump(mode="json", exclude_defaults=True)
        content = {key: value for key, value in content.items() if value != {}}
        content |= {"method": self.method, "seed": self.seed, "version": SETTINGS_VERSION}
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def run_id(self) -> str:
        """Readable name, e.g. `rsm-radius90-p4-k3-seed0`; what is usual is left out."""
        return f"{self.configuration}-seed{self.seed}"

    @property
    def configuration(self) -> str:
        """The run id without its seed: runs of one configuration differ in the seed alone."""
        traits = METHODS.get(self.method, CONTROL)
        words = [self.method]
        for axis in AXES:
            value = setting(self, axis.setting)
            if axis.has(traits) and value not in axis.usual:
                words.append(axis.word(value))
        for key in self.varied:
            words.append(varied_word(key, setting(self, key)))
        return "-".join(words)


def own_settings(config: RunConfig) -> str:
    """A run as JSON without settings at their default, so that a setting added later changes nothing."""
    content = config.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content | {"method": config.method, "seed": config.seed})


def varied_word(key: str, value: Any) -> str:
    """A setting of the grid without an axis of its own, in a run id: `sac.tau` and 0.02 give `tau0.02`."""
    if key == "init_from.run":  # by the last part of its path, without the seed
        source = re.sub(r"-seed(\{seed\}|[0-9]+)$", "", Path(value).name) if value else "scratch"
        return re.sub("[^a-z0-9.+-]+", "-", f"from-{source}".lower())
    if key.endswith(".agents"):  # of which there are several: `slow.agents` and 4 give `slow4`
        return f"{key.removesuffix('.agents')}{value}"
    text = "x".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
    words = f"{key.rpartition('.')[2]}{text}".lower()
    return re.sub("[^a-z0-9.+-]+", "-", words)


POLICY = "policy.safetensors"  # the policies that a finished run leaves in its folder


def policy_digest(folder: Path) -> str | None:
    """SHA-256 of the policy file in a run folder; None where there is none to be read."""
    try:
        return hashlib.sha256((folder / POLICY).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def load_run(path: Path) -> RunConfig:
    """Read the settings of one run from YAML; raises ConfigError, also for an empty file."""
    content = load_yaml(path)
    if not content:
        raise ConfigError(f"{one_line(path)}: it is empty: at least `method:` is required")
    return parse_run(content, one_line(path))


def parse_run(content: dict[str, Any], source: str) -> RunConfig:
    """Settings of one run from a mapping; raises ConfigError that names `source`."""
    check_extensions()
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig, source)) from None
