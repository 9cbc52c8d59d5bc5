import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rsm.cli.parser import main, parser
from rsm.config.loading import dump_yaml


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mistake(arguments, capsys) -> str:
    """The one line that a mistaken command prints, exit code 2 being checked."""
    try:
        code = main(arguments)
    except SystemExit as stop:  # argparse
        code = stop.code
    assert code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err.strip().splitlines()[-1]


def test_help_explains_every_command(capsys):
    _, listed = parser().format_help().split("\ncommands:\n")
    commands = re.findall(r"^    ([a-z-]+)\s+\w", listed, re.MULTILINE)
    assert {"train", "publish-results"} <= set(commands)
    for command in commands:
        with pytest.raises(SystemExit) as stop:
            parser().parse_args([command, "--help"])
        assert stop.value.code == 0 and f"usage: rsm {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--config", "none.yaml", "--out", "x"], ["none.yaml", "No such file"]),
        (["train", "--config", "bad.yaml", "--out", "x"], ["bad.yaml", "sac.tau", "0", "greater"]),
        (["train", "--config", "ok.yaml", "--run", "a", "--out", "x"], ["--run", "--study"]),
        (["train", "--out", "x"], ["--config", "--study"]),
        (["train", "--study", "none", "--run", "a", "--out", "x"], ["'none'", "known studies"]),
        (["train", "--config", "d.yaml", "--out", "x"], ["regular:9", "9 agents"]),
        (["evaluate", "--scenario", "moon", "--controller", "go"], ["moon", "figure-eight"]),
        (["evaluate", "--scenario", "figure-eight", "--controller", "me"], ["'me'", "platoon"]),
        (["evaluate", "--scenario", "figure-eight", "--controller", "no/run"], ["no/run", "run"]),
        (
            ["evaluate", "--scenario", "figure-eight", "--controller", "go", "--episodes", "0"],
            ["--episodes", "0", "at least 1"],
        ),
        (
            ["evaluate", "--scenario", "figure-eight", "--controller", "go", "--seed", "-1"],
            ["--seed", "-1"],
        ),
        (
            ["render", "--scenario", "figure-eight", "--controller", "go", "--out", "x.bmp"],
            ["x.bmp", ".gif", ".mp4", ".png"],
        ),
        (["trajectory", "nowhere", "--out", "x.parquet"], ["nowhere", "config.yaml"]),
        (["trajectory", "nowhere", "--out", "x.csv"], ["--out", "x.csv", ".parquet"]),
        (["figures", "--study", "none"], ["'none'", "known studies"]),
        (["resolve", "--study", "s.yaml", "--set", "[1]", "--out", "x"], ["--set", "mapping"]),
        (["resolve", "--study", "s.yaml", "--set", "{a: 1}", "--out", "x"], ["a: unknown key"]),
        (["publish", "nowhere", "--study", "s"], ["nowhere", "summary.json"]),
        (["verify", "--only", "other-seed0"], ["other-seed0", "human-seed0"]),
        (["dance"], ["dance", "train"]),
    ],
)
def test_mistake_gives_one_line_and_exit_code_2_and_creates_nothing(arguments, words, here, capsys):
    (here / "bad.yaml").write_text("sac: {tau: 0}")
    (here / "ok.yaml").write_text("method: go")
    (here / "d.yaml").write_text("communication: {topology: 'regular:9'}")
    study = "{name: s, description: d, seeds: [0], grid: {methods: [go]}}"
    (here / "s.yaml").write_text(study)
    studies = here / "workflow" / "studies"
    studies.mkdir(parents=True)
    (studies / "quick.yaml").write_text(study)
    before = {path for path in here.rglob("*") if "results" not in path.parts}
    line = mistake(arguments, capsys)
    for word in words:
        assert word in line
    assert {path for path in here.rglob("*") if path.is_file()} <= before | {
        here / "results" / "mlflow" / "lock"
    }


def test_missing_simulator_is_one_line(here, tiny):
    (here / "run.yaml").write_text(dump_yaml(tiny(method="go")))
    blocked = here / "blocked" / "libsumo"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('no libsumo')")
    done = subprocess.run(
        [sys.executable, "-m", "rsm", "train", "--config", "run.yaml", "--out", "out"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{blocked.parent}{os.pathsep}{Path(__file__).parents[2]}"},
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "libsumo" in done.stderr
    assert not (here / "out").exists()


def test_evaluate_prints_one_json_object(capsys):
    arguments = ["evaluate", "--scenario", "figure-eight", "--controller", "go", "--episodes", "1"]
    assert main([*arguments, "--seed", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["episodes"] == 1 and report["steps"] == 1500


def test_train_works_without_snakemake_and_says_where_the_run_is(here, tiny, capsys):
    (here / "run.yaml").write_text(dump_yaml(tiny(method="fmarl")))
    assert main(["train", "--config", "run.yaml", "--out", "out"]) == 0
    captured = capsys.readouterr()
    assert "fmarl-seed0: final return" in captured.out and "out" in captured.out
    assert "episode 3/3" in captured.err


def test_run_of_a_study_equals_the_run_of_its_settings(here, tiny):
    resolved = "{name: s, description: d, seeds: [0], grid: {methods: [go]}, run: {traffic: {horizon: 100}}}"
    (here / "s.yaml").write_text(resolved)
    assert main(["train", "--study", "s.yaml", "--run", "go-seed0", "--out", "out"]) == 0
    summary = json.loads((here / "out" / "summary.json").read_text())
    assert summary["method"] == "go"


def test_render_of_a_run_shows_its_exchange_and_works_without_one(here, tiny):
    pictures = []
    for method in ("average", "independent"):
        (here / "run.yaml").write_text(dump_yaml(tiny(method=method)))
        assert main(["train", "--config", "run.yaml", "--out", method]) == 0
        arguments = ["--scenario", "figure-eight", "--controller", method, "--out", f"{method}.png"]
        assert main(["render", *arguments]) == 0
        pictures.append((here / f"{method}.png").read_bytes())
    (here / "average" / "exchange.parquet").unlink()
    arguments = ["--scenario", "figure-eight", "--controller", "average", "--out", "plain.png"]
    assert main(["render", *arguments]) == 0
    assert (here / "plain.png").read_bytes() not in pictures


def test_render_draws_a_picture(here):
    arguments = ["--scenario", "figure-eight", "--controller", "human", "--out", "still.png"]
    assert main(["render", *arguments]) == 0
    assert (here / "still.png").read_bytes().startswith(b"\x89PNG")


def test_moment_after_the_end_of_the_episode_is_refused(here, capsys):
    drive = ["render", "--scenario", "figure-eight", "--controller", "human", "--out", "still.png"]
    assert "--at: 150.5 is not allowed: the episode ends at 150 s" in mistake(
        [*drive, "--at", "150.5"], capsys
    )
    assert list(here.iterdir()) == []
    assert main([*drive, "--at", "150"]) == 0


@pytest.mark.parametrize(
    ("episodes", "words"), [(2, "mean ± standard deviation"), (1, "one episode")]
)
def test_evaluate_says_what_the_spread_is(episodes, words, capsys):
    drive = ["--scenario", "figure-eight", "--controller", "go", "--episodes", str(episodes)]
    assert main(["evaluate", *drive]) == 0
    said = capsys.readouterr().out
    assert words in said and ("±" in said) == (episodes > 1)


@pytest.mark.parametrize("value", ["2,1", " 4 ", "4, 3,2", "8"])
def test_number_of_threads_for_each_level_is_coped_with(value, here, tiny, monkeypatch):
    (here / "run.yaml").write_text(dump_yaml(tiny(method="go")))
    environment = os.environ | {
        "OMP_NUM_THREADS": value,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "rsm", "train", "--config", "run.yaml", "--out", "out"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads((here / "out/manifest.json").read_text())["torch_threads"] == 1


def test_backend_of_a_notebook_does_not_break_what_only_writes_files(here, monkeypatch):
    """`module://matplotlib_inline.backend_inline`, which a kernel sets, need not be installed here."""
    program = "import matplotlib; print(matplotlib.get_backend())"
    code = f"from rsm.cli.parser import settle_environment; settle_environment(); {program}"
    environment = os.environ | {"MPLBACKEND": "module://not_here.backend_inline"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "agg", done.stderr


def test_run_that_would_never_learn_is_refused(here, tiny, capsys):
    (here / "run.yaml").write_text(
        dump_yaml(tiny(training={"episodes": 1}, sac={"learning_starts": 31}))
    )
    line = mistake(["train", "--config", "run.yaml", "--out", "out"], capsys)
    assert "sac.learning_starts: 31" in line and "would never learn" in line
    assert not (here / "out").exists()


def test_finished_run_is_replaced_with_force_only(here, tiny, capsys):
    for seed in (0, 1):
        (here / f"{seed}.yaml").write_text(dump_yaml(tiny(method="go", seed=seed)))
    assert main(["train", "--config", "0.yaml", "--out", "out"]) == 0
    capsys.readouterr()
    line = mistake(["train", "--config", "1.yaml", "--out", "out"], capsys)
    assert "--out: out" in line and "--force" in line
    assert json.loads((here / "out/summary.json").read_text())["seed"] == 0
    assert main(["train", "--config", "1.yaml", "--out", "out", "--force"]) == 0
    assert json.loads((here / "out/summary.json").read_text())["seed"] == 1
