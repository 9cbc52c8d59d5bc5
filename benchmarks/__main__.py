"""Run every group in a process of its own (SUMO is one simulation per process); print and write the table.

python -m benchmarks [GROUP …]
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Row

GROUPS = (
    "environment",
    "learning",
    "exchange",
    "rounds",
    "quick",
    "paper",
    "growth",
    "processes",
)
OUTPUT, PAGE = Path("results/bench.json"), Path("results/bench.md")


def main(arguments: Sequence[str]) -> int:
    """Run the groups named, all by default. Returns 0 always: verdicts depend on the load of the machine."""
    if arguments[:1] == ["--group"]:
        print(json.dumps(measured(arguments[1])))
        return 0
    strangers = sorted(set(arguments) - set(GROUPS))
    if strangers:
        print(
            f"benchmarks: {strangers[0]!r} is not allowed; groups: {', '.join(GROUPS)}",
            file=sys.stderr,
        )
        return 2
    start = time.perf_counter()
    content: dict[str, Any] = {"machine": machine(), "rows": []}
    print(heading(content["machine"]), flush=True)
    for group in arguments or GROUPS:
        rows = in_own_process(group)
        content["rows"] += [{"group": group, **row._asdict()} for row in rows]
        for row in rows:
            print(line(row), flush=True)
    content["seconds"] = time.perf_counter() - start
    missed = [row["part"] for row in content["rows"] if not row["met"]]
    total = len(content["rows"])
    print(
        f"\n{total - len(missed)} of {total} targets met in {content['seconds']:.0f} s; load then {load()}"
    )
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(content), encoding="utf-8")
    print(f"written: {OUTPUT}, {PAGE}")
    return 0


def measured(group: str) -> list[Row]:
    """The rows of a group, on one thread."""
    import torch

    torch.set_num_threads(1)
    rows: list[Row] = importlib.import_module(f"benchmarks.{group}").rows()
    return rows


def in_own_process(group: str) -> list[Row]:
    """The same from a fresh process; a group that fails gives one row that says so."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "benchmarks", "--group", group]
    done = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return [Row(group, f"failed with exit code {done.returncode}", "runs", False, {})]
    return [Row(*values) for values in json.loads(done.stdout.splitlines()[-1])]


def machine() -> dict[str, Any]:
    """Processor, versions and threads, on which the numbers depend."""
    names = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((name.split(":")[1].strip() for name in names if "model name" in name), "unknown")
    versions = {"python": platform.python_version(), "torch": importlib.metadata.version("torch")}
    return {"cpu": model, "cores": os.cpu_count(), "load": load(), **versions}


def load() -> float:
    """Processes that wanted a core in the last minute."""
    return round(os.getloadavg()[0], 2)


def heading(facts: dict[str, Any]) -> str:
    """What stands above the table."""
    about = f"{facts['cpu']}, {facts['cores']} cores, torch {facts['torch']}, one thread"
    busy = f"load {facts['load']} before" + (" (busy)" if facts["load"] > 0.5 else "")
    return f"{about}; {busy}\nPublished size (hidden 256 × 256, batch 256, N 9) unless a row says otherwise.\n"


def page(content: dict[str, Any]) -> str:
    """The table as Markdown, for the docs, with the machine's name and load."""
    facts = content["machine"]
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores, torch {facts['torch']}, one thread; "
        f"load {facts['load']} before, {load()} after; {content['seconds'] / 60:.1f} minutes.",
        "",
        "| part | measured | target | |",
        "| --- | --- | --- | --- |",
    ]
    for row in content["rows"]:
        verdict = "met" if row["met"] else "**missed**"
        lines.append(f"| {row['part']} | {row['measured']} | {row['target']} | {verdict} |")
    return "\n".join(lines) + "\n"


def line(row: Row) -> str:
    """One row of the table."""
    verdict = "met   " if row.met else "MISSED"
    return f"{verdict}  {row.part}\n        {row.measured}   target: {row.target}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
