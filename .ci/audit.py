"""Look up every pinned version in the database of known vulnerabilities (pip-audit): `make audit`.

Exits 1 with a line per finding, 0 otherwise. Where pip-audit cannot be installed or its database cannot be
reached, it prints SKIPPED with the reason: that is not a pass.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def skipped(reason: str) -> int:
    print(f"audit: SKIPPED: {reason}")
    return 0


def verdict(report: str) -> int:
    """The exit code for what pip-audit wrote, after saying it."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return skipped("the database of known vulnerabilities cannot be reached from here")
    known = [package for package in packages if "vulns" in package]
    if not known:
        return skipped("the database of known vulnerabilities knows none of the packages from here")
    findings = [(package, found) for package in known for found in package["vulns"]]
    for package, found in findings:
        mended = ", ".join(found.get("fix_versions") or []) or "no version yet"
        print(f"audit: {package['name']} {package['version']}: {found['id']}, mended in {mended}")
    print(f"audit: {len(known)} of {len(packages)} packages looked up, {len(findings)} findings")
    return int(bool(findings))


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # in an environment of its own: its dependencies are not ours
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        install = [binaries / "pip", "install", "--quiet", "pip-audit"]
        if subprocess.run(install, stderr=subprocess.DEVNULL).returncode:
            return skipped("pip-audit cannot be installed from here")
        audit = [binaries / "pip-audit", "--no-deps", "--disable-pip", "--format", "json"]
        audit += ["--progress-spinner", "off", "--timeout", "15"]
        for name in ("constraints.txt", "constraints-torch.txt"):
            audit += ["--requirement", ROOT / name]
        try:
            done = subprocess.run(audit, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            return skipped("the database of known vulnerabilities does not answer")
    return verdict(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
