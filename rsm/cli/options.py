"""Options that several commands have, and the values that they take."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from rsm.config.catalogue import FLEET, parse_scenario
from rsm.errors import shown

# Adds a command: its name, what runs it, and its help.
Command = Callable[[str, object, str], argparse.ArgumentParser]


def study_option(command: argparse.ArgumentParser) -> None:
    """`--study`, by name or by file."""
    command.add_argument(
        "--study",
        required=True,
        metavar="NAME|FILE",
        help="a name in workflow/studies, or a YAML file",
    )


def override_option(command: argparse.ArgumentParser) -> None:
    """`--set`, the overrides of a study that Snakemake's `--config` gives."""
    command.add_argument(
        "--set",
        default="{}",
        metavar="YAML",
        help="a mapping of settings that override those of the study",
    )


def driving_options(command: argparse.ArgumentParser, compared: bool = False) -> None:
    """Who drives where; `compared`: two drivers may be named in place of one."""
    command.add_argument(
        "--scenario",
        type=scenario_name,
        metavar="NAME",
        help=f"such as figure-eight, flow-figure-eight-1 or {FLEET}:9. Default for a run folder: its own",
    )
    drivers = command.add_mutually_exclusive_group(required=True)
    drivers.add_argument(
        "--controller",
        metavar="NAME",
        help="human, sumo, random, go, platoon, meter, untrained, constant:<m/s²>, the folder of a finished "
        "run, or ARCHIVE.zip::RUN_ID",
    )
    if compared:
        drivers.add_argument(
            "--compare",
            nargs=2,
            metavar=("NAME", "NAME"),
            help="two such drivers on the same traffic, side by side",
        )
    command.add_argument(
        "--seed",
        type=natural,
        default=0,
        metavar="S",
        help="seed of the traffic; further episodes use S+1, …. Runs train on seeds below 1000000. "
        "Default: 0",
    )


def scenario_name(text: str) -> str:
    """The name of a scenario, for argparse."""
    try:
        parse_scenario(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: {error}") from None
    return text


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = natural(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: a whole number of at least 1")
    return number


def seconds(text: str) -> float:
    """A moment of an episode, for argparse."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not allowed: seconds, such as 75.5")
    return float(text)


def natural(text: str) -> int:
    """A whole number from 0 to 2 000 000 000, for argparse."""
    if not (re.fullmatch("[0-9]{1,10}", text) and int(text) <= 2_000_000_000):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not allowed: a whole number from 0 to 2000000000"
        )
    return int(text)
