"""`rsm evaluate`, `rsm render` and `rsm trajectory`: a control or a finished run drives."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from rsm.cli.writing import writing
from rsm.errors import ConfigError, shown


def run_evaluate(options: argparse.Namespace) -> None:
    from rsm.training.evaluation import evaluation_report

    report = evaluation_report(options.scenario, options.controller, options.episodes, options.seed)
    if options.json:
        print(json.dumps(report))
        return
    speed, score = report["mean_speed"], report["return"]
    count = len(score["values"])
    what = f"{count} episodes: mean ± standard deviation" if count > 1 else "one episode"
    print(f"{report['scenario']}, driven by {report['controller']}, {what}")
    print(f"mean speed  {_with_spread(speed, 3)} m/s")
    print(f"return      {_with_spread(score, 4)}")
    clear = report["return_without_collision"]
    if clear["values"]:
        print(
            f"            {_with_spread(clear, 4)} over the {len(clear['values'])} episodes without a collision"
        )
    print(f"collisions  {report['collisions']} ({report['collision']})")
    print(f"steps       {report['steps']} ({report['steps_per_second']:.0f} per second)")


def _with_spread(found: dict[str, Any], digits: int) -> str:
    """Mean and standard deviation; the mean alone of one value, which has no spread."""
    spread = f" ± {found['std']:.{digits}f}" if len(found["values"]) > 1 else ""
    return f"{found['mean']:.{digits}f}{spread}"


def run_render(options: argparse.Namespace) -> None:
    from rsm.traffic.environment import TrafficEnv
    from rsm.traffic.rendering import check_output, render
    from rsm.training.drivers import driver_name, resolve_driver
    from rsm.training.trajectory import last_exchange

    check_output(options.out)
    if options.at is not None and options.out.suffix.lower() != ".png":
        raise ConfigError(
            f"--at: {options.at:g} is not allowed: a film shows every moment, a .png one"
        )
    if options.compare:
        render_two(options)
        return
    traffic, driver = resolve_driver(options.controller, options.scenario)
    links = last_exchange(options.controller)
    who = driver_name(options.controller)
    with TrafficEnv(traffic) as env, writing("--out", options.out):
        render(
            env,
            lambda: driver(env, options.seed),
            options.out,
            options.seed,
            options.at,
            links,
            who,
        )
    print(options.out)


def render_two(options: argparse.Namespace) -> None:
    """Two drivers on the same traffic, side by side."""
    from rsm.traffic.side_by_side import Side, drive, render_sides
    from rsm.training.drivers import driver_name, resolve_driver
    from rsm.training.trajectory import last_exchange

    names, scenario = options.compare, options.scenario
    if scenario is None:  # a control drives where the run does
        runs = [name for name in names if os.path.isfile(os.path.join(name, "config.yaml"))]
        scenario = resolve_driver(runs[0], None)[0].scenario if runs else None
    sides: list[Side] = []
    with writing("--out", options.out):
        for name in names:
            traffic, driver = resolve_driver(name, scenario)
            links, who = last_exchange(name), driver_name(name)
            sides.append(drive(traffic, driver, options.seed, options.out, links, who))
        render_sides(sides, options.out, options.at)
    print(options.out)


def run_trajectory(options: argparse.Namespace) -> None:
    from rsm.runs.files import write_parquet
    from rsm.training.trajectory import held_out_trajectory

    if options.out.suffix != ".parquet":
        raise ConfigError(
            f"--out: {shown(str(options.out))} is not allowed: it must end in .parquet"
        )
    table = held_out_trajectory(options.folder)
    with writing("--out", options.out):
        write_parquet(options.out, table)
    print(options.out if len(table) else f"{options.out}: the run failed: nothing was driven")
