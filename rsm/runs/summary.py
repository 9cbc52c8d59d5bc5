"""The summary of a finished run, and the run folder it leaves (keys: rsm.runs.schema)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig
from rsm.exchange.ledger import Ledger
from rsm.runs.files import write_json, write_text
from rsm.runs.performance import final_performance, worst_return
from rsm.runs.recorder import Recorder
from rsm.runs.schema import AGENTS


def summary(
    config: RunConfig,
    recorder: Recorder,
    ledger: Ledger,
    parameters: int,
    wall_s: float,
    failure: str | None,
) -> dict[str, Any]:
    """The content of summary.json, computed from the tables and the ledger (keys: rsm.runs.schema)."""
    episodes, rounds = recorder.table("episodes"), recorder.table("rounds")
    zeta = recorder.table("zeta").to_pandas()
    accepted = zeta[zeta["outcome"] == "accepted"]
    last_episode = episodes.slice(max(len(episodes) - 1, 0)).to_pylist()
    performance = final_performance(recorder.table("evaluations"), config.evaluation.episodes)
    if config.own_returns:
        held_out = config.evaluation.episodes
        performance["final_return_worst"] = worst_return(recorder.table(AGENTS), held_out)
    payload = ledger.total("payload_bytes")

    content: dict[str, Any] = {
        "run_id": config.run_id,
        "configuration": config.configuration,
        "settings_hash": config.settings_hash,
        "status": "failed" if failure else "finished",
        "method": config.method,
        **config.axes,
        "seed": config.seed,
        "scenario": config.traffic.scenario,
        "agents": ledger.agents,
        "parameters": parameters,
        **performance,
        "episodes": last_episode[0]["episode"] if last_episode else 0,
        "env_steps": last_episode[0]["env_steps"] if last_episode else 0,
        "updates": last_episode[0]["updates"] if last_episode else 0,
        "updates_not_made": last_episode[0]["updates_not_made"] if last_episode else 0,
        "rounds": len(rounds),
        "messages": ledger.total("messages"),
        "bytes_sent": ledger.bytes_sent,
        "payload_bytes": payload,
        "payload_per_agent": payload / ledger.agents,
        "heaviest_share": ledger.heaviest_share if ledger.bytes_sent else None,
        "judged": len(zeta),
        "accepted": len(accepted),
        "acceptance_rate": len(accepted) / len(zeta) if len(zeta) else None,
        "zeta_mean": float(accepted["zeta"].mean()) if len(accepted) else None,
        "collisions": int(sum(episodes["collisions"].to_pylist())),
        "wall_s": wall_s,
    }
    if failure:
        content |= dict.fromkeys(performance) | {"reason": failure}
        for key, value in content.items():
            if isinstance(value, float) and not math.isfinite(value):
                content[key] = None
    return content


def write_config(folder: Path, config: RunConfig) -> None:
    """Write the resolved settings of the run into its folder."""
    write_text(folder / "config.yaml", dump_yaml(config))


def write_run(
    folder: Path,
    config: RunConfig,
    recorder: Recorder,
    manifest: dict[str, Any],
    content: dict[str, Any],
) -> None:
    """Write the run folder; the summary comes last, so that a folder with one is whole."""
    write_config(folder, config)  # again, since it may have been removed meanwhile
    recorder.write(folder)
    write_json(folder / "manifest.json", manifest | {"status": content["status"]})
    write_json(folder / "summary.json", content)
