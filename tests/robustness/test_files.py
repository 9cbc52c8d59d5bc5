"""Untrusted files: nothing in them is executed, and no name leads out of the results."""

from __future__ import annotations

import ast
import pickle
import re
import runpy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from rsm.cli.parser import main
from rsm.config.loading import dump_yaml, load_yaml
from rsm.config.run import POLICY, RunConfig
from rsm.config.study import parse_study
from rsm.errors import ConfigError
from rsm.runs.checkpoint import load_checkpoint, save_checkpoint
from rsm.runs.files import CURRENT
from rsm.traffic.roads.figure_eight import figure_eight
from rsm.training.drivers import load_driver

from .conftest import ROOT

SOURCES = sorted((ROOT / "rsm").rglob("*.py"))


class Evil:
    """Unpickling it creates a file, which shows that code was executed."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def calls(source: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_source_reads_a_pickle_or_runs_text() -> None:
    """The one exception is the pipe between an environment and the process it started itself."""
    forbidden = re.compile(
        r"(pickle|joblib|dill|marshal|shelve)\.(load|loads|open)|pd\.read_pickle|eval|exec|os\.system"
    )
    for source in SOURCES:
        for name, call in calls(source):
            if source.name == "worker.py" and name == "pickle.load":
                continue
            assert not forbidden.fullmatch(name), f"{source}: {name}"
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if name == "torch.load":
                assert given.get("weights_only") == "True", source
            if name in ("np.load", "numpy.load"):
                assert given.get("allow_pickle", "False") == "False", source
            if name == "yaml.load":
                assert ast.unparse(call.args[1]) in ("_Loader", "_SafeLoader"), source
            assert name not in ("yaml.unsafe_load", "yaml.full_load"), source
            assert given.get("shell", "False") == "False", f"{source}: a shell"
            assert not name.endswith(("extractall", "unpack_archive")), f"{source}: an archive"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 4])
def test_checkpoint_with_code_in_it_is_passed_over(tmp_path: Path, protocol: int, capsys) -> None:
    import hashlib

    mark = tmp_path / "mark"
    content = pickle.dumps({"settings_hash": "hash", "state": Evil(mark)}, protocol=protocol)
    (tmp_path / CURRENT).write_bytes(hashlib.sha256(content).digest() + content)
    assert load_checkpoint(tmp_path, "hash") is None
    save_checkpoint(tmp_path, {"evil": Evil(mark)}, "hash")
    assert load_checkpoint(tmp_path, "hash") is None
    assert not mark.exists()
    assert "unreadable checkpoint, ignored" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        b"\xff" * 7 + b"\x7f",
        (2**40).to_bytes(8, "little") + b"{}",
        b"PK\3\4" + bytes(50),
    ],
    ids=["empty", "huge header", "larger header", "claims a terabyte", "zip"],
)
def test_policy_that_is_none_is_one_line(tmp_path: Path, content: bytes, capsys) -> None:
    (tmp_path / "config.yaml").write_text(dump_yaml(RunConfig()))
    (tmp_path / POLICY).write_bytes(content)
    arguments = ["--scenario", "figure-eight", "--controller", str(tmp_path)]
    assert main(["evaluate", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert POLICY in line and "safetensors" in line


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"theta": torch.ones(9, 10)},
        {
            "theta": torch.ones(9, 10),
            "sizes": torch.tensor([6, 8, 2]),
            "action_scale": torch.ones(()),
        },
        {"theta": torch.ones(9, 74), "sizes": torch.tensor([6.5]), "action_scale": torch.ones(3)},
        {"theta": torch.ones(1, 8), "sizes": torch.tensor([3, 2]), "action_scale": torch.ones(())},
    ],
    ids=["nothing", "theta alone", "sizes that do not fit", "shapes", "another task"],
)
def test_policy_of_something_else_is_one_line(tmp_path: Path, tensors: dict) -> None:
    (tmp_path / "config.yaml").write_text(dump_yaml(RunConfig()))
    (tmp_path / POLICY).write_bytes(save(tensors))
    with pytest.raises(ConfigError, match="it is not the policy of a run"):
        load_driver(tmp_path)


def test_run_ids_of_every_valid_study_stay_in_the_results_folder(tmp_path: Path) -> None:
    """Ids come from settings whose words are checked; here with the oddest words that are allowed."""
    content = {
        "name": "odd",
        "description": "d",
        "seeds": [0, 9999],
        "grid": {
            "methods": ["rsm", "average", "fmarl"],
            "topologies": ["radius:1e-5", "small-world:2:1e-9", "erdos-renyi:1.0", "regular:4.0"],
            "segments": [1, 65535],
            "rules": ["line-search"],
            "share": ["actor", "actor+critic"],
            "loss_rates": [1e-12, 1.0],
        },
    }
    runs = parse_study(content, "odd").runs()
    assert len(runs) > 50
    for run_id in runs:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", run_id), run_id
        assert (tmp_path / run_id).resolve().parent == tmp_path.resolve()


def test_yaml_of_strangers_makes_plain_values_only(tmp_path: Path) -> None:
    mark, file = tmp_path / "mark", tmp_path / "run.yaml"
    for text in (
        f"!!python/object/apply:builtins.open ['{mark}', 'w']",
        f"a: !!python/object/new:open ['{mark}', 'w']",
        "a: !!python/module:os",
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match="not valid YAML"):
            load_yaml(file)
    assert not mark.exists()


@pytest.mark.parametrize("damage", [b"", b"<net><edge", b"<net/>", b"\0" * 4096])
def test_damaged_road_network_in_the_cache_is_built_anew(
    damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSM_CACHE", str(tmp_path))
    figure_eight.cache_clear()
    network = figure_eight(30.0)
    network.file.write_bytes(damage)
    figure_eight.cache_clear()
    assert figure_eight(30.0) == network
    figure_eight.cache_clear()


@pytest.mark.parametrize(
    ("report", "code", "words"),
    [
        ("", 0, "SKIPPED: the database of known vulnerabilities cannot be reached"),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', 0, "SKIPPED"),
        (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}',
            0,
            "1 of 1 .* 0 findings",
        ),
        (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1"}]}]}',
            1,
            "a 1: X-1, mended in no version yet",
        ),
    ],
    ids=["unreachable", "unknown", "clean", "finding"],
)
def test_audit_that_looked_nothing_up_is_not_a_pass(
    report: str, code: int, words: str, capsys
) -> None:
    audit = runpy.run_path(str(ROOT / ".ci/audit.py"))
    assert audit["verdict"](report) == code
    assert re.search(words, capsys.readouterr().out)
