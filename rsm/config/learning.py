"""Settings of a single agent: traffic, learner, length of training, evaluation.

Source of the defaults: arXiv:2312.10123, the published experiment, unless a field says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from rsm.config.base import Positive, Settings, without_sign_of_zero
from rsm.config.catalogue import scenario_traits
from rsm.config.names import ScenarioName
from rsm.errors import KeyedError


class Traffic(Settings):
    """The traffic scenario, its actions and observations (docs/concepts/scenarios.md)."""

    scenario: ScenarioName = "figure-eight"
    decision_interval: int | None = Field(
        None,
        ge=1,
        le=1500,
        description="Simulation steps for which an action is held. null: the scenario's own value, 1 "
        "step of 0.1 s, or 2 steps of 0.5 s in flow-merge-*.",
    )
    horizon: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Simulation steps of an episode. null: the scenario's own value, 1500 (in "
        "flow-merge-* the steps of 750 actions).",
    )
    actions: Literal["acceleration", "target-speed"] = Field(
        "acceleration",
        description="An action is an acceleration, or a target speed in [0, target_speed_max] that the "
        "vehicle approaches with at most its maximum acceleration (not published).",
    )
    target_speed_max: Positive = Field(
        12.0, le=60, description="Maximum target speed, m/s (not published)."
    )
    observation: Literal["absolute", "relative", "gaps"] | None = Field(
        None,
        description="absolute: positions and speeds of the vehicle, its follower and its leader. "
        "relative: sine and cosine of its position, its speed, and gaps and speed "
        "differences to leader and follower (not published). gaps: the last three. null: the "
        "scenario's own value, absolute, or gaps in flow-merge-*, where no other is allowed.",
    )
    junction: Literal["sumo", "idm"] = Field(
        "sumo",
        description="What drives human vehicles inside the junction: SUMO's car-following model, as in "
        "Flow, or our IDM.",
    )
    collision: Literal["terminate", "teleport"] | None = Field(
        None,
        description="terminate: a collision ends the episode. teleport: SUMO moves the vehicle on and "
        "the episode continues. The reward of that step is 0. null: the scenario's own "
        "value, teleport in figure-eight, figure-eight-all and fleets, terminate in "
        "flow-figure-eight-*.",
    )
    horizon_end: Literal["truncation", "termination"] = Field(
        "truncation",
        description="How a learner treats the horizon: as a truncation, beyond which it bootstraps, or "
        "as a termination with value 0 (published code).",
    )

    @model_validator(mode="before")
    @classmethod
    def _says_nothing_where_it_says_what_the_scenario_says(cls, content: Any) -> Any:
        """So that it is one setting, with one hash, however it was written."""
        if not isinstance(content, dict):
            return content
        try:
            traits = scenario_traits(content.get("scenario", cls.model_fields["scenario"].default))
        except (TypeError, ValueError):
            return content  # the field says it
        usual = {
            "decision_interval": traits.decision_interval,
            "horizon": traits.horizon,
            "observation": traits.observations[0],
        }
        same = {key for key, value in usual.items() if repr(content.get(key)) == repr(value)}
        return {key: value for key, value in content.items() if key not in same}

    @model_validator(mode="after")
    def _observes_what_the_road_has(self) -> Traffic:
        allowed = scenario_traits(self.scenario).observations
        if self.observed not in allowed:
            raise KeyedError(
                "traffic.observation",
                self.observation,
                f"in {self.scenario} allowed: {', '.join(allowed)}",
            )
        return self

    @property
    def steps_held(self) -> int:
        """Simulation steps for which an action is held: `decision_interval`, or what the scenario says."""
        return self.decision_interval or scenario_traits(self.scenario).decision_interval

    @property
    def steps(self) -> int:
        """Simulation steps of an episode: `horizon`, or what the scenario says."""
        return self.horizon or scenario_traits(self.scenario).horizon

    @property
    def observed(self) -> str:
        """What an agent observes: `observation`, or what the scenario says."""
        return self.observation or scenario_traits(self.scenario).observations[0]

    @property
    def on_collision(self) -> Literal["terminate", "teleport"]:
        """What a collision does: `collision` if it is set, else the default of the scenario."""
        return self.collision or scenario_traits(self.scenario).collision


class Sac(Settings):
    """Soft actor-critic of every agent."""

    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (256, 256),
        min_length=1,
        max_length=4,
        strict=False,
        description="Units of each hidden ReLU layer.",
    )
    actor_lr: Positive = Field(4e-5, description="Adam step size of the actor.")
    critic_lr: Positive = Field(3e-4, description="Adam step size of the critics.")
    alpha_lr: Positive = Field(3e-4, description="Adam step size of log α.")
    alpha_init: Positive = Field(0.01, description="Temperature α at the start.")
    target_entropy: float | None = Field(
        None, description="Target entropy of the unit action, nats; null is −|A|."
    )
    gamma: float = Field(0.99, gt=0, lt=1, description="Discount per decision.")
    gradient_clip: Positive | None = Field(
        None,
        description="Largest gradient norm of each actor and of each critic; null: no clipping "
        "(published code: 0.5).",
    )
    tau: float = Field(0.001, gt=0, le=1, description="Polyak step of the target critics.")
    batch_size: int = Field(256, ge=1, le=100_000, description="Transitions per agent and update.")
    replay_size: int = Field(
        100_000, ge=1, le=10_000_000, description="Transitions kept, per agent."
    )
    learning_starts: int = Field(
        1280, ge=2, description="Transitions per agent before the first update."
    )
    update_every: int = Field(10, ge=1, description="Decisions between two updates.")
    n_step: int = Field(
        1,
        ge=1,
        le=100,
        description="n of n-step returns: rewards summed before bootstrapping (not published).",
    )
    reward_shift: Annotated[float, AfterValidator(without_sign_of_zero)] = Field(
        0.0, description="Added to the reward that the learner sees (not published)."
    )
    reward_scale: Positive = Field(
        1.0, description="The learner sees (reward + reward_shift) · reward_scale (not published)."
    )
    random_decisions: int = Field(
        0, ge=0, description="Number of first decisions that are uniformly random (not published)."
    )
    noise_correlation: Annotated[float, AfterValidator(without_sign_of_zero)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="Correlation of the exploration noise between consecutive decisions (not published).",
    )

    @model_validator(mode="after")
    def _learns_at_all(self) -> Sac:
        if self.learning_starts > self.replay_size:
            raise ValueError(
                f"learning_starts ({self.learning_starts}) must be at most replay_size "
                f"({self.replay_size}), or no update would ever be made"
            )
        return self


class InitFrom(Settings):
    """A finished run whose policies the agents begin with, in place of random ones (transfer)."""

    run: str | None = Field(
        None,
        min_length=1,
        description="Folder of the finished run; null: random initial parameters. In a study, {seed} "
        "stands for the run's seed.",
    )
    agent: Annotated[int, Field(ge=0)] | Literal["mean", "best"] = Field(
        0,
        description="The agent whose parameters all agents start with (published: 0), the mean over "
        "agents, or the agent with the best return, where each agent has a reward of its own.",
    )
    what: Literal["policies", "policies+critics"] = Field(
        "policies+critics", description="What is transferred; the rest is initialised at random."
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the policy file. null accepts any file; the run then records the digest.",
    )


class Training(Settings):
    """How long a run learns."""

    episodes: int = Field(
        310,
        ge=1,
        le=1_000_000,
        description="Training episodes. If this is raised, a finished run resumes from its last "
        "checkpoint, provided that it was kept.",
    )
    keep_checkpoint: bool = Field(
        False,
        description="Keep the last checkpoint, so that the run can be resumed with more episodes; it "
        "contains the replay. Does not affect results.",
    )


class Tracking(Settings):
    """What a run logs to an MLflow server while it trains; does not affect results."""

    live: bool = Field(
        False,
        description="Log training curves to the server in MLFLOW_TRACKING_URI while the run trains; a "
        "failing server does not affect the run. Without this setting, `rsm sync --live` "
        "logs them for all runs of a study.",
    )


class Evaluation(Settings):
    """How a run is measured, on seeds that training never uses."""

    every: int = Field(10, ge=1, description="Training episodes between two evaluations.")
    episodes: int = Field(
        3, ge=1, le=1000, description="Held-out seeds per evaluation and mode (not published)."
    )
    control_episodes: int = Field(
        5,
        ge=1,
        le=1000,
        description="Held-out seeds of a control, at least `episodes` (not published). Its results use "
        "the first `episodes` seeds, the same as those of the learning methods; the others "
        "are only recorded.",
    )

    @model_validator(mode="after")
    def _controls_drive_what_learners_do(self) -> Evaluation:
        if self.control_episodes < self.episodes:
            raise ValueError(
                f"control_episodes ({self.control_episodes}) must be at least episodes ({self.episodes}), "
                "or learners could not be compared with controls on the same traffic"
            )
        return self


class Gate(Settings):
    """Measures whether accepted replicas raise the return: each is judged, then driven (not published)."""

    replicas: int = Field(
        0,
        ge=0,
        le=255,
        description="Replicas per evaluation whose gain is measured, each of a different agent; 0: none. "
        "Ignored by methods without a gate.",
    )
    episodes: int = Field(
        4,
        ge=1,
        le=500,
        description="Held-out seeds driven with and without the replica, drawn anew at each evaluation.",
    )
    states: tuple[Annotated[int, Field(ge=2, le=100_000)], ...] = Field(
        (),
        max_length=12,
        strict=False,
        description="Further numbers of states B: peers also judge the same replicas with questions of B "
        "states, recorded as `peers:<B>`. Those of `peers` have as many as the run's own judge takes "
        "(mixing.states).",
    )
