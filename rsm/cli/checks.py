"""`rsm verify` and `rsm doctor`; imports that may be broken are made only when needed."""

from __future__ import annotations

import argparse


def run_verify(options: argparse.Namespace) -> int:
    from rsm.cli.verify import verify

    return verify(options.only, options.record)


def run_doctor(options: argparse.Namespace) -> int:
    from rsm.cli.doctor import examine

    return examine()
