"""`rsm verify` and `rsm doctor`; imports that may be broken are made only when needed."""

from __future__ import annotations

import argparse

from rsm.errors import ConfigError


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
