"""rsm installed from its wheel and used without a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import ROOT, Installed

SHIPPED = (
    "Snakefile", "environment.yml", "constraints.txt", "constraints-torch.txt",
    "results/committed/expected.json",
)  # fmt: skip


@pytest.mark.slow
def test_commands_work_outside_a_checkout(installed: Installed, tmp_path: Path) -> None:
    share = installed.folder / "share/rsm"
    workflow = {path.relative_to(ROOT) for path in (ROOT / "workflow").rglob("*") if path.is_file()}
    there = {path.relative_to(share) for path in share.rglob("*") if path.is_file()}
    assert there >= workflow | {Path(name) for name in SHIPPED}, (
        "a folder that pyproject.toml lacks"
    )

    def rsm(command: str, *codes: int) -> str:
        done = installed.run(f"rsm {command}", tmp_path)
        assert done.returncode in (codes or (0,)), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    assert (
        str(installed.folder)
        in installed.run("python -c 'import rsm; print(rsm.__file__)'", tmp_path).stdout
    )
    drawn = rsm("figures --study quick --only zeta").split()
    assert all((tmp_path / name).is_file() for name in drawn if name.startswith("results/"))
    assert "results/quick/tables/main.md" in rsm("tables --study quick")
    rsm("resolve --study paper --out paper.yaml")
    assert ".txt: missing" not in rsm("doctor")
    # Whether the committed numbers agree with the studies is checked elsewhere.
    said = rsm("verify --only quick/human-seed0", 0, 1, 2)
    assert "quick/human-seed0" in said or ("study" in said and said.count("\n") == 1)
    assert "cannot be read" not in said
    said = rsm("verify --record", 2)
    assert said.startswith("rsm: --record: ") and said.count("\n") == 1
    assert not list(tmp_path.glob("workflow"))
