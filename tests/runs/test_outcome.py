import json

from rsm.config.loading import dump_yaml
from rsm.config.run import RunConfig, parse_run
from rsm.runs.outcome import outcome, report

RUNS = {config.run_id: config for config in (RunConfig(method="go", seed=n) for n in range(30))}


def leave(results, run_id, **content):
    folder = results / "runs" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    about = {"status": "finished", "settings_hash": RUNS[run_id].settings_hash}
    (folder / "summary.json").write_text(json.dumps(about | content))


def log(results, run_id, text):
    (results / "logs").mkdir(exist_ok=True)
    (results / "logs" / f"{run_id}.log").write_text(text)


def test_study_whose_runs_all_finished_has_nothing_to_tell(tmp_path):
    for run_id in RUNS:
        leave(tmp_path, run_id)
    for ended in (True, False):
        assert report("small", RUNS, tmp_path, ended) == []


def test_failed_run_is_told_with_its_reason_and_what_to_do(tmp_path):
    for run_id in RUNS:
        leave(tmp_path, run_id)
    leave(tmp_path, "go-seed3", status="failed", reason="reward of agent 2 is nan")
    lines = report("small", RUNS, tmp_path, ended=True)
    assert lines[0] == "Study 'small': 29 of 30 runs finished"
    assert lines[1] == "  failed: go-seed3: reward of agent 2 is nan"
    assert f"rm -r {tmp_path}/runs/RUN" in lines[2]


def test_run_that_could_not_run_is_told_apart_from_one_that_was_stopped(tmp_path):
    for run_id in list(RUNS)[3:]:
        leave(tmp_path, run_id)
    log(tmp_path, "go-seed0", "go-seed0: episode 3/9\nrsm: go-seed0: disk full\n")
    log(tmp_path, "go-seed1", "go-seed1: episode 3/9\nrsm: terminated\n")
    log(tmp_path, "go-seed2", "go-seed2: episode 3/9\n")  # killed
    found = outcome(RUNS, tmp_path)
    assert found.broken == {"go-seed0": "go-seed0: disk full"}
    assert found.waiting == ["go-seed1", "go-seed2"]
    lines = report("small", RUNS, tmp_path, ended=False)
    assert "  could not run: go-seed0: go-seed0: disk full" in lines
    assert "  unfinished: 2; the same command resumes them" in lines
    assert report("small", RUNS, tmp_path, ended=True) == [], "nobody asked for them"


def test_run_whose_source_is_gone_is_still_finished(tmp_path):
    from rsm.runs.planned import planned
    from rsm.runs.status import status

    start = {"run": str(tmp_path / "gone"), "sha256": "a" * 64}
    begun = parse_run({"method": "independent", "init_from": start}, "run.yaml")
    asked = parse_run({"method": "independent", "init_from": {"run": start["run"]}}, "study")
    assert begun.settings_hash != asked.settings_hash
    folder = tmp_path / "runs" / asked.run_id
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_yaml(begun))
    about = {"status": "finished", "episodes": asked.training.episodes}
    (folder / "summary.json").write_text(json.dumps(about | {"settings_hash": begun.settings_hash}))
    log(tmp_path, asked.run_id, "rsm: no such folder\n")
    runs = {asked.run_id: asked}
    assert outcome(runs, tmp_path) == ({}, {}, [])
    assert status(planned(runs, tmp_path), tmp_path).done == 1


def test_many_failures_are_counted_not_listed(tmp_path):
    for run_id in RUNS:
        leave(tmp_path, run_id, status="failed", reason="x")
    lines = report("small", RUNS, tmp_path, ended=True)
    assert len(lines) < 25 and "  failed: 10 more" in lines
