"""`rsm evaluate`, `rsm render` and `rsm trajectory`: a control or a finished run drives."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from rsm.cli.options import Command, driving_options, positive, seconds
from rsm.cli.writing import writing
from rsm.errors import ConfigError, shown


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    evaluate = command("evaluate", run_evaluate, "drive episodes and report speed and return")
    driving_options(evaluate)
    evaluate.add_argument("--episodes", type=positive, default=5, metavar="N", help="default: 5")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    render = command("render", run_render, "draw one episode as an animation or a picture")
    driving_options(render, compared=True)
    render.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="a file ending in .gif, .mp4 or .png",
    )
    render.add_argument(
        "--at",
        type=seconds,
        metavar="SECONDS",
        help="the moment that a .png shows; default: the end",
    )

    trajectory = command(
        "trajectory",
        run_trajectory,
        "drive one held-out episode of a finished run and write the trajectory of every vehicle",
    )
    trajectory.add_argument("folder", type=Path, metavar="RUN_DIR")
    trajectory.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a .parquet file"
    )


def run_evaluate(options: argparse.Namespace) -> None:
    from rsm.runs.archive import run_folder
    from rsm.training.evaluation import evaluation_report

    with run_folder(options.controller) as driver:
        report = evaluation_report(options.scenario, driver, options.episodes, options.seed)
    report["controller"] = options.controller
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
    from rsm.runs.archive import run_folder
    from rsm.traffic.films import check_output

    check_output(options.out)
    if options.at is not None and options.out.suffix.lower() != ".png":
        raise ConfigError(
            f"--at: {options.at:g} is not allowed: an animation shows every moment, a .png a single one"
        )
    with contextlib.ExitStack() as unpacked:
        if options.compare:
            names = [
                unpacked.enter_context(run_folder(name, "--compare")) for name in options.compare
            ]
            render_two(options, names)
        else:
            render_one(options, unpacked.enter_context(run_folder(options.controller)))
    print(options.out)


def render_one(options: argparse.Namespace, name: str) -> None:
    """One driver in one episode."""
    from rsm.traffic.environment import TrafficEnv
    from rsm.traffic.rendering import render
    from rsm.training.drivers import driver_name, resolve_driver
    from rsm.training.trajectory import last_exchange

    traffic, driver = resolve_driver(name, options.scenario)
    links, who = last_exchange(name), driver_name(name)
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


def render_two(options: argparse.Namespace, names: list[str]) -> None:
    """Two drivers on the same traffic, side by side."""
    from rsm.traffic.side_by_side import drive, render_sides
    from rsm.training.drivers import driver_name, resolve_driver
    from rsm.training.trajectory import last_exchange

    scenario = options.scenario
    if scenario is None:  # a control drives where the run does
        folder = next((name for name in names if os.sep in name or os.path.isdir(name)), None)
        scenario = resolve_driver(folder, None)[0].scenario if folder else None
    sides = []
    with writing("--out", options.out):
        for name in names:
            traffic, driver = resolve_driver(name, scenario)
            links, who = last_exchange(name), driver_name(name)
            sides.append(drive(traffic, driver, options.seed, options.out, links, who))
        render_sides(sides, options.out, options.at)


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
