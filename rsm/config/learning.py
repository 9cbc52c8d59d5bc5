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
    """The world the vehicles drive in (docs/concepts/scenarios.md)."""

    scenario: ScenarioName = "figure-eight"
    decision_interval: int | None = Field(
        None,
        ge=1,
        le=1500,
        description="Simulation steps for which an action is held. null is what the scenario says: 1 (of "
        "0.1 s), in flow-merge-* 2 (of 0.5 s).",
    )
    horizon: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Simulation steps of an episode. null is what the scenario says: 1500, in flow-merge-* of "
        "750 actions.",
    )
    actions: Literal["acceleration", "target-speed"] = Field(
        "acceleration",
        description="An action is an acceleration, or a speed in [0, target_speed_max] that the "
        "vehicle approaches with at most its largest acceleration (not published).",
    )
    target_speed_max: Positive = Field(
        12.0, le=60, description="Largest target speed, m/s (not published)."
    )
    observation: Literal["absolute", "relative", "gaps"] | None = Field(
        None,
        description="Positions and speeds of three vehicles, or sine and cosine of the own position, "
        "own speed, and gaps and speed differences to leader and follower (not published), or only the last "
        "three. null is what the scenario says: absolute, in flow-merge-* gaps, which is all that goes there.",
    )
    junction: Literal["sumo", "idm"] = Field(
        "sumo",
        description="Who drives a human inside the junction: SUMO's car-following, as in Flow, or our IDM.",
    )
    collision: Literal["terminate", "teleport"] | None = Field(
        None,
        description="A collision ends the episode, or SUMO moves the vehicle on and the episode goes on; the "
        "reward of that step is 0. null is what the scenario says: teleport in figure-eight, figure-eight-all "
        "and fleets, terminate in flow-figure-eight-*.",
    )
    horizon_end: Literal["truncation", "termination"] = Field(
        "truncation",
        description="What the horizon is to a learner: a truncation, beyond which it bootstraps, or a "
        "termination, where the value is 0 (published code).",
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
        description="Units of the ReLU layers.",
    )
    actor_lr: Positive = Field(4e-5, description="Adam step size of the actor.")
    critic_lr: Positive = Field(3e-4, description="Adam step size of the critics.")
    alpha_lr: Positive = Field(3e-4, description="Adam step size of log α.")
    alpha_init: Positive = Field(0.01, description="Temperature α at the start.")
    target_entropy: float | None = Field(
        None, description="Entropy of the unit action, nats, that α aims at; null is −|A|."
    )
    gamma: float = Field(0.99, gt=0, lt=1, description="Discount per decision.")
    gradient_clip: Positive | None = Field(
        None,
        description="Largest norm of the gradient of each actor and of each critic; null does not clip "
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
        1, ge=1, le=100, description="Rewards summed before bootstrapping (not published)."
    )
    reward_shift: Annotated[float, AfterValidator(without_sign_of_zero)] = Field(
        0.0, description="Added to the reward that the learner sees (not published)."
    )
    reward_scale: Positive = Field(
        1.0, description="The learner sees (reward + reward_shift) · reward_scale (not published)."
    )
    random_decisions: int = Field(
        0, ge=0, description="First decisions, taken uniformly at random (not published)."
    )
    noise_correlation: Annotated[float, AfterValidator(without_sign_of_zero)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="Correlation of the exploration noise between two decisions (not published).",
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
        description="Folder of the finished run; null begins at random. In a study {seed} is the run's seed.",
    )
    agent: Annotated[int, Field(ge=0)] | Literal["mean", "best"] = Field(
        0,
        description="The agent of that run with whose parameters all begin (published: 0), the mean over its "
        "agents, or the agent with the best return where each has a reward of its own.",
    )
    what: Literal["policies", "policies+critics"] = Field(
        "policies+critics", description="What is taken; the rest begins at random."
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the policy file; null takes what is there, and a run writes down what it took.",
    )


class Training(Settings):
    """How long a run learns."""

    episodes: int = Field(
        310,
        ge=1,
        le=1_000_000,
        description="Training episodes. A finished run whose checkpoint was kept goes on where this is raised.",
    )
    keep_checkpoint: bool = Field(
        False,
        description="Keep the checkpoint of the last episode, so that the run can be continued; it holds the "
        "replay. Decides no number.",
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
        description="Held-out seeds of a control, at least `episodes` (not published). Its numbers count the "
        "first `episodes` of them, which the learning methods drive too; the others are in its evaluations.",
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
    """Measures whether accepted replicas raise the return: they are judged, then driven (not published)."""

    replicas: int = Field(
        0,
        ge=0,
        le=255,
        description="Replicas per evaluation, each of another agent, whose gain is measured; 0 measures none. "
        "Methods without a gate ignore it.",
    )
    episodes: int = Field(
        4,
        ge=1,
        le=500,
        description="Held-out seeds, anew at each evaluation, driven with the replica and without.",
    )
    states: tuple[Annotated[int, Field(ge=2, le=100_000)], ...] = Field(
        (),
        max_length=12,
        strict=False,
        description="B: peers judge the same replicas by questions of so many states too, as `peers:<B>`; the "
        "questions of `peers` have mixing.states.",
    )
