"""Networks are built once, by whichever process is first, and what fails is told in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rsm.errors import ConfigError
from rsm.traffic import netconvert

ROOT = str(Path(__file__).parents[2])


def test_parallel_processes_build_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSM_CACHE", str(tmp_path))
    code = "from rsm.traffic.roads.figure_eight import figure_eight; print(figure_eight(20.0).file)"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    files = {process.communicate()[0].strip() for process in processes}
    assert len(files) == 1
    assert [path.name for path in (tmp_path / "rsm" / "networks").iterdir()] == [
        Path(files.pop()).name
    ]


def test_a_missing_netconvert_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sumo", None)
    with pytest.raises(ConfigError, match="pip install eclipse-sumo") as caught:
        netconvert.netconvert_binary()
    assert "\n" not in str(caught.value)


def test_what_netconvert_says_is_told_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSM_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="netconvert failed"):
        netconvert.build_network({"node-files": "<nodes/>", "edge-files": "<edges/>"})
    assert list((tmp_path / "rsm" / "networks").iterdir()) == []


DRIVE = """
from rsm.config.learning import Traffic
from rsm.errors import ConfigError
from rsm.traffic.environment import TrafficEnv
try:
    with TrafficEnv(Traffic(horizon=2)) as env:
        env.reset(0)
        env.step(None)
        print("driven")
except ConfigError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["RSM_CACHE", "TMPDIR"])
@pytest.mark.parametrize(
    ("name", "driven"),
    [("a?b#c%d e", True), ("a:b&c=d", True), ("-é", True), ("a,b", False), ("${HOME}", False)],
)
def test_folder_of_any_name_is_read_by_sumo_or_refused_by_its_name(
    variable: str, name: str, driven: bool, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    folders = {"RSM_CACHE": str(tmp_path), "TMPDIR": str(tmp_path)}
    environment = os.environ | folders | {variable: str(tmp_path / name), "PYTHONPATH": ROOT}
    done = subprocess.run(
        [sys.executable, "-c", DRIVE], env=environment, capture_output=True, text=True, check=True
    )
    expected = "driven\n" if driven else f"environment: {variable}: "
    assert done.stdout.startswith(expected) and len(done.stdout.splitlines()) == 1
