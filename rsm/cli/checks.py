"""`rsm verify` and `rsm doctor`, started without loading what may be broken."""

from __future__ import annotations

import argparse


def run_verify(options: argparse.Namespace) -> int:
    from rsm.cli.verify import verify

    return verify(options.only, options.record)


def run_doctor(options: argparse.Namespace) -> int:
    from rsm.cli.doctor import examine

    return examine()
