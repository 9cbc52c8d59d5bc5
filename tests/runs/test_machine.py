import math
import os
import subprocess
import sys

import pytest

from rsm.runs import machine
from rsm.runs.machine import (
    Usage,
    cpu_capability,
    cpu_quota,
    too_many_cores,
    usable_cores,
    usage,
)


def system(folder, files, membership="0::/\n"):
    """A faithful fake of /sys/fs/cgroup and /proc/self/cgroup."""
    root = folder / "cgroup"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    (folder / "self").write_text(membership)
    return root, folder / "self"


V1 = "12:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n"


@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({"cpu.max": "max 100000"}, "0::/\n", math.inf),
        ({"cpu.max": "200000 100000"}, "0::/\n", 2),
        ({"cpu.max": "150000 100000"}, "0::/\n", 1.5),
        ({"a/cpu.max": "max 100000", "cpu.max": "300000 100000"}, "0::/a/b\n", 3),
        ({"a/b/cpu.max": "100000 100000", "a/cpu.max": "400000 100000"}, "0::/a/b\n", 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, V1, math.inf),
        (
            {
                "cpu,cpuacct/docker/a/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/docker/a/cpu.cfs_period_us": "100000",
            },
            V1,
            4,
        ),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, "", 0.5),
        ({"cpu.max": "gibberish"}, "gibberish", math.inf),
        ({}, "", math.inf),
    ],
)
def test_quota_of_a_container_is_that_of_its_cgroups(files, membership, cores, tmp_path):
    assert cpu_quota(*system(tmp_path, files, membership)) == cores


def test_container_with_two_of_many_cores_has_two(tmp_path, monkeypatch):
    root, membership = system(tmp_path, {"cpu.max": "200000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    quota = cpu_quota(root, membership)
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert usable_cores() == 2
    assert "only 2 may be used here" in (too_many_cores(64) or "")
    assert too_many_cores(2) is None and too_many_cores(None) is None
    monkeypatch.setattr(machine, "cpu_quota", lambda: 0.5)
    assert usable_cores() == 1


@pytest.mark.slow
def test_capability_is_what_torch_computes_with_and_not_what_the_processor_has():
    asked = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    code = "from rsm.runs.machine import cpu_capability; print(cpu_capability())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=asked)
    assert done.stdout.strip() == "DEFAULT"
    assert cpu_capability() == cpu_capability().upper()


def test_usage_counts_work_and_memory_and_goes_on_over_attempts():
    before = usage()
    block = bytearray(b"1") * (50 * 2**20 + int(before.peak_memory_mb * 1e6))
    assert sum(block[:1_000_000])
    after = usage()
    assert after.cpu_s > before.cpu_s
    assert after.peak_memory_mb > before.peak_memory_mb + 50
    assert Usage(2.0, 300.0).and_then(Usage(1.0, 200.0)) == Usage(3.0, 300.0)
