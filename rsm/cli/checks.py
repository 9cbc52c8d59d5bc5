"""`rsm verify` and `rsm doctor`; imports that may be broken are made only when needed."""

from __future__ import annotations

import argparse
from pathlib import Path

from rsm.cli.options import Command
from rsm.errors import ConfigError


def add_commands(command: Command) -> None:
    """Add the commands of this file, with their options."""
    verify = command(
        "verify",
        run_verify,
        "recompute some committed numbers and compare them with results/committed",
    )
    verify.add_argument(
        "--only",
        action="append",
        metavar="STUDY/RUN_ID",
        help="a run of the list, or RUN_ID of the archive; may be repeated",
    )
    verify.add_argument(
        "--archive", type=Path, metavar="FILE.zip", help="check an archive for consistency instead"
    )
    verify.add_argument(
        "--record", action="store_true", help="write the recomputed numbers instead (maintainers)"
    )

    doctor = command(
        "doctor",
        run_doctor,
        "check Python, packages, SUMO, disk and the MLflow store of this installation",
    )
    doctor.add_argument(
        "--report",
        action="store_true",
        help="print it as Markdown to paste into an issue, without personal paths and addresses",
    )


def run_verify(options: argparse.Namespace) -> int:
    if options.archive is not None:
        if options.record:
            raise ConfigError("--record: is not allowed with --archive: an archive stays as it is")
        from rsm.cli.verify_archive import verify_archive

        return verify_archive(options.archive, options.only)
    from rsm.cli.verify import verify

    return verify(options.only, options.record)


def run_doctor(options: argparse.Namespace) -> int:
    from rsm.cli.doctor import as_lines, examine
    from rsm.cli.doctor_report import as_markdown

    findings = examine()
    print(as_markdown(findings) if options.report else as_lines(findings))
    return int(any(finding.advice for finding in findings))
