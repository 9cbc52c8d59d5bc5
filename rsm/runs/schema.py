"""The columns of a run folder, in one place: what a run writes and the analysis reads.

A run folder `results/<study>/runs/<run-id>/` holds config.yaml, manifest.json, the tables below as
parquet, summary.json (written last: a folder without it is not finished) and, for a run that learns,
policy.safetensors. Times (columns and keys named `wall_s`, and the manifest) are the only entries
that differ between two runs of the same seed on the same machine.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from rsm.config.axes import AXES
from rsm.config.run import RunConfig

SERVER = -1  # the number of the central server of `fmarl` wherever an agent is named

# table → column → (type, meaning)
TABLES: dict[str, dict[str, tuple[pa.DataType, str]]] = {
    "episodes": {
        "episode": (pa.int32(), "training episode, from 1"),
        "env_steps": (pa.int64(), "simulation steps driven in training so far"),
        "updates": (pa.int64(), "SAC updates so far of an agent that is not slow and never waits"),
        "return": (pa.float64(), "Σ reward / horizon, in [0, 1], mean over agents; over the honest ones where each has its own loop"),
        "mean_speed": (pa.float64(), "mean speed of all vehicles over the episode, m/s"),
        "collisions": (pa.int32(), "collisions in the episode"),
        "teleports": (pa.int32(), "vehicles that SUMO teleported in the episode"),
        "steps": (pa.int32(), "simulation steps of the episode"),
        "critic_loss": (pa.float64(), "mean squared Bellman error over the episode's updates; NaN: none"),
        "actor_loss": (pa.float64(), "mean of α log π − Q over the episode's updates; NaN: none"),
        "entropy": (pa.float64(), "mean of −log π (unit action) over the episode's updates, nats; NaN: none"),
        "alpha": (pa.float64(), "temperature α at the end, mean over agents"),
        "bytes_sent": (pa.int64(), "total bytes transmitted so far"),
        "updates_not_made": (pa.int64(), "updates missed so far while waiting for a round, sum over agents"),
        "wall_s": (pa.float64(), "seconds of wall time of the episode"),
    },
    "evaluations": {
        "episode": (pa.int32(), "training episodes done before; 0 for a control"),
        "env_steps": (pa.int64(), "simulation steps driven in training so far"),
        "bytes_sent": (pa.int64(), "total bytes transmitted so far"),
        "mode": (pa.string(), "deterministic (mean action) or stochastic (sampled)"),
        "eval_seed": (pa.int64(), "held-out seed of the episode"),
        "return": (pa.float64(), "Σ reward / horizon, in [0, 1], mean over agents; over the honest ones where each has its own loop"),
        "mean_speed": (pa.float64(), "mean speed of all vehicles over the episode, m/s"),
        "collisions": (pa.int32(), "collisions in the episode"),
        "teleports": (pa.int32(), "vehicles that SUMO teleported in the episode"),
        "steps": (pa.int32(), "simulation steps of the episode"),
    },
    "rounds": {
        "round": (pa.int32(), "communication round, from 1; asynchronous: what happened in U updates of the fastest, the last row in the rest"),
        "episode": (pa.int32(), "training episode it fell in"),
        "env_steps": (pa.int64(), "simulation steps driven in training so far"),
        "updates": (pa.int64(), "SAC updates so far of an agent that is not slow and never waits"),
        "links": (pa.int32(), "directed pairs of neighbours; N(N − 1) where the method has no topology"),
        "messages": (pa.int64(), "frames sent in the round, requests included"),
        "request_bytes": (pa.int64(), "bytes of request frames"),
        "question_bytes": (pa.int64(), "bytes of questions to jurors and of their answers, headers included"),
        "header_bytes": (pa.int64(), "header bytes of the frames that carry parameters"),
        "payload_bytes": (pa.int64(), "parameter bytes"),
        "bytes_sent": (pa.int64(), "request + question + header + payload bytes, lost frames included"),
        "lost": (pa.int64(), "frames that the channel lost"),
        "refused": (pa.int64(), "frames that the receiver refused (checksum, round, shape, …)"),
        "heaviest_share": (pa.float64(), "share of the bytes of the round sent or received by the busiest node"),
        "judged": (pa.int32(), "replicas judged"),
        "accepted": (pa.int32(), "replicas mixed in"),
        "identical": (pa.int32(), "replicas equal to the receiver's own policy (q = 0)"),
        "zeta_mean": (pa.float64(), "mean ζ of the accepted replicas; NaN: none"),
        "spread": (pa.float64(), "root mean square distance of the actors θᵢ from their mean, after the round"),
    },
    "zeta": {
        "round": (pa.int32(), "communication round, from 1; asynchronous: of the receiver's own rounds"),
        "env_steps": (pa.int64(), "simulation steps driven in training so far"),
        "agent": (pa.int32(), "the receiver that judges"),
        "replica": (pa.int32(), "number of the replica, from 1"),
        "sources": (pa.list_(pa.int32()), "the agents asked, in the order of the segments"),
        "advantage": (pa.float64(), "A⁺, mean over states (eq. 3); of the published code its own estimator"),
        "epsilon": (pa.float64(), "ε = max over states of |A⁺(s)|; of the published code the largest signed sample"),
        "quadratic_form": (pa.float64(), "q = (θ̃−θ)ᵀF(θ̃−θ) (eq. 4); of the published code q₁, the square of one mean"),
        "constant": (pa.float64(), "C = 2γε/(1−γ)² of Theorem 2"),
        "bound": (pa.float64(), "sqrt(2A⁺/(Cq)), NaN where A⁺ ≤ 0 or q = 0; of the published code its root before the cap"),
        "zeta": (pa.float64(), "ζ used; 0 where the replica was not accepted"),
        "outcome": (pa.string(), "accepted, rejected or identical"),
        "jurors": (pa.list_(pa.int32()), "peers whose answers judged; empty where the own critic did"),
        "lost_segments": (pa.int32(), "segments filled with the receiver's own values"),
        "segment_ages": (pa.list_(pa.float64()), "age of each segment, s since it was sent, in the order of `sources`; null where it did not arrive"),
        "segment_updates": (pa.list_(pa.int32()), "updates that its sender has made since; null where it did not arrive"),
        "question_age": (pa.float64(), "s since the jurors were asked; null where none of them judged"),
    },
    "exchange": {
        "sender": (pa.int32(), "agent that sent, −1 the server"),
        "receiver": (pa.int32(), "agent meant to receive, −1 the server"),
        "messages": (pa.int64(), "frames sent over the run, requests included"),
        "request_bytes": (pa.int64(), "bytes of request frames"),
        "question_bytes": (pa.int64(), "bytes of questions to jurors and of their answers, headers included"),
        "header_bytes": (pa.int64(), "header bytes of the frames that carry parameters"),
        "payload_bytes": (pa.int64(), "parameter bytes"),
        "lost": (pa.int64(), "frames that the channel lost"),
        "judged": (pa.int64(), "replicas judged by the receiver for which it asked the sender, whether or not the segment arrived"),
        "accepted": (pa.int64(), "of these, accepted"),
        "last_round_bytes": (pa.int64(), "bytes_sent of the pair in the last round alone; 0: none"),
    },
}  # fmt: skip

# A table only of runs that measure their gate (`gate.replicas`): a row per replica and judge.
GATE = "gate"
GATE_TABLE: dict[str, tuple[pa.DataType, str]] = {
    "episode": (pa.int32(), "training episodes done before"),
    "agent": (pa.int32(), "the receiver"),
    "sources": (pa.list_(pa.int32()), "the agents asked, in the order of the segments"),
    "judge": (pa.string(), "who judges: own, aug, jul or peers"),
    "advantage": (pa.float64(), "A⁺ by this judge; it accepts where A⁺ is above 0"),
    "quadratic_form": (pa.float64(), "q by this judge, of the published code its own form"),
    "identical": (pa.bool_(), "whether the replica is the receiver's own policy"),
    "return_without": (pa.float64(), "return on held-out seeds by its own policy, mean actions; of its loop"),
    "return_with": (pa.float64(), "the same by the replica, all other agents as before"),
    "gain_error": (pa.float64(), "standard error of the difference over the seeds; NaN: a single seed"),
}  # fmt: skip

# A table of those runs alone whose agents have a loop each (fleets): a row an evaluation episode and agent.
# Under a team reward no agent has a return of its own, and there is no such table.
AGENTS = "agents"
AGENTS_TABLE: dict[str, tuple[pa.DataType, str]] = {
    "episode": (pa.int32(), "training episodes done before; 0 for a control"),
    "mode": (pa.string(), "deterministic (mean action) or stochastic (sampled)"),
    "eval_seed": (pa.int64(), "held-out seed of the episode"),
    "agent": (pa.int32(), "number of the agent"),
    "return": (pa.float64(), "Σ reward of its own loop / horizon, in [0, 1]"),
    "loop": (pa.string(), "kind of its loop, by the vehicles on it"),
    "slow": (pa.bool_(), "whether it updates less often than others (`slow`); false in a control"),
    "newcomer": (pa.bool_(), "whether it is reset during training (`restarts`); false in a control"),
    "attacker": (pa.bool_(), "whether it is an attacker (`attack`); false in a control"),
}  # fmt: skip
OPTIONAL = {GATE: GATE_TABLE, AGENTS: AGENTS_TABLE}


def optional_tables(config: RunConfig) -> list[str]:
    """The tables of OPTIONAL that a run of these settings has."""
    has = {GATE: config.measures_gate, AGENTS: config.own_returns}
    return [name for name in OPTIONAL if has[name]]


# `results/<study>/space_time/<run-id>.parquet`: one held-out episode of a run (`rsm trajectory`). A failed
# run has no rows. What is common to all rows is JSON in the schema's metadata, under TRAJECTORY_KEY: run_id,
# settings_hash, eval_seed, mean_speed (m/s), collisions, horizon (s), the `ranges` of positions on each
# route (m), `period` after which they begin anew (m; null on a road that ends) and `meetings`, positions where
# ways cross or join (m).
TRAJECTORY: dict[str, tuple[pa.DataType, str]] = {
    "time": (pa.float64(), "s since the start of the episode"),
    "vehicle": (pa.int32(), "its place in the order at the start"),
    "route": (
        pa.int32(),
        "the road that it is on, from 0: a separate loop, or an approach to a common road",
    ),
    "position": (pa.float64(), "m along it; NaN while SUMO teleports the vehicle"),
    "speed": (pa.float64(), "m/s"),
    "learner": (pa.bool_(), "whether it learns"),
}
TRAJECTORY_KEY = b"rsm"

SUMMARY: dict[str, str] = {
    "run_id": "name of the run",
    "configuration": "the run id without the seed",
    "settings_hash": "guard of the resolved settings",
    "status": "finished, or failed with the key `reason`",
    "method": "method or control",
    **{axis.name: axis.meaning for axis in AXES},
    "seed": "seed",
    "scenario": "scenario",
    "agents": "N, learning vehicles",
    "parameters": "length of what one agent shares, in float32 values",
    "final_return": "mean deterministic return of the last 10 % of the evaluations, their number rounded up; of the honest agents where each has its own loop",
    "final_return_stochastic": "the same with sampled actions",
    "final_return_worst": "lowest final return of an honest agent, on its own loop; null under a team reward",
    "final_mean_speed": "mean deterministic speed of the same evaluations, m/s",
    "episodes": "training episodes; 0 for a control",
    "env_steps": "simulation steps driven in training",
    "updates": "SAC updates of every agent",
    "updates_not_made": "updates missed while waiting for a round, sum over agents",
    "rounds": "communication rounds",
    "messages": "frames sent",
    "bytes_sent": "total bytes transmitted",
    "payload_bytes": "total parameter bytes transmitted",
    "payload_per_agent": "parameter bytes over agents",
    "heaviest_share": "share of all bytes sent or received by the busiest node; null without messages",
    "judged": "replicas judged",
    "accepted": "replicas accepted",
    "acceptance_rate": "accepted / judged; null where none was judged",
    "zeta_mean": "mean ζ of the accepted replicas; null where none was accepted",
    "collisions": "collisions in training episodes",
    "wall_s": "seconds of wall time, over all resumptions",
    "reason": "only of a failed run: the quantity that diverged, the agent and the step",
}


def schema(table: str) -> pa.Schema:
    """The arrow schema of a table, meanings attached as field metadata."""
    return _schema((TABLES | OPTIONAL)[table])


def _schema(columns: dict[str, tuple[pa.DataType, str]]) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind, metadata={"meaning": text}) for name, (kind, text) in columns.items()]
    )


def trajectory_table(columns: dict[str, Any], about: dict[str, Any]) -> pa.Table:
    """The columns of TRAJECTORY, and what holds for all of them, as one table; no columns: no rows."""
    kinds = _schema(TRAJECTORY).with_metadata({TRAJECTORY_KEY: json.dumps(about).encode()})
    return pa.table(columns, schema=kinds) if columns else kinds.empty_table()
