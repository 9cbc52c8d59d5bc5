import pytest
import torch

from rsm.errors import RunError
from rsm.runs.checkpoint import (
    CURRENT,
    PREVIOUS,
    load_checkpoint,
    save_checkpoint,
)
from rsm.seeding import Stream
from rsm.traffic.environment import TrafficEnv
from rsm.training.loop import Training
from rsm.training.run import resume


def state(number: int) -> dict:
    generator = torch.Generator().manual_seed(number)
    return {
        "number": number,
        "tensor": torch.full((3,), float(number)),
        "generator": generator.get_state(),
        "big": 2**127 + number,
        "nested": [{"a": 1.5, "b": None, "c": "text", "d": True}],
    }


def test_checkpoint_gives_back_what_was_saved(tmp_path):
    save_checkpoint(tmp_path, state(1), "hash")
    found = load_checkpoint(tmp_path, "hash")
    assert found is not None and found.name == CURRENT
    loaded = found.state
    assert torch.equal(loaded.pop("tensor"), torch.ones(3))
    assert torch.equal(loaded.pop("generator"), state(1)["generator"])
    assert loaded == {"number": 1, "big": 2**127 + 1, "nested": state(1)["nested"]}


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path, "hash") is None


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty"])
def test_damaged_checkpoint_gives_way_to_its_predecessor(tmp_path, damage, capsys):
    save_checkpoint(tmp_path, state(1), "hash")
    save_checkpoint(tmp_path, state(2), "hash")
    path = tmp_path / CURRENT
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"truncated": content[:500], "changed": content, "empty": b""}[damage])
    loaded = load_checkpoint(tmp_path, "hash")
    assert loaded is not None and (loaded.state["number"], loaded.name) == (1, PREVIOUS)
    assert "damaged checkpoint" in capsys.readouterr().err


def test_checkpoint_of_other_settings_is_refused(tmp_path, capsys):
    save_checkpoint(tmp_path, state(1), "theirs")
    assert load_checkpoint(tmp_path, "ours") is None
    assert "made with other settings (theirs, not ours): refused" in capsys.readouterr().err


def test_failed_write_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, state(1), "hash")
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, state(2), "hash")
    monkeypatch.undo()
    loaded = load_checkpoint(tmp_path, "hash")
    assert loaded is not None and loaded.state["number"] == 1
    assert {path.name for path in tmp_path.iterdir()} <= {CURRENT, PREVIOUS}


def full_disk(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("theirs", ["other settings", "unreadable"])
def test_checkpoint_that_was_passed_over_never_takes_the_place_of_the_one_in_use(
    theirs, tiny, tmp_path, monkeypatch
):
    config = tiny()
    with TrafficEnv(config.traffic) as env:
        run = Training(config, env)
        run.save(tmp_path)
        if theirs == "unreadable":
            save_checkpoint(tmp_path, {"code": Stream.ACTING}, config.settings_hash)
        else:
            save_checkpoint(tmp_path, state(1), "theirs")
        resume(run, tmp_path)
        assert run.resumed == 1
        monkeypatch.setattr("os.fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            run.save(tmp_path)
    assert load_checkpoint(tmp_path, config.settings_hash) is not None


def test_checkpoint_of_other_settings_stays_where_ours_cannot_be_used(tiny, tmp_path):
    config = tiny()
    save_checkpoint(tmp_path, {"device": "cuda"}, config.settings_hash)
    save_checkpoint(tmp_path, state(1), "theirs")
    with TrafficEnv(config.traffic) as env, pytest.raises(RunError, match="--device cuda"):
        resume(Training(config, env), tmp_path)
    assert load_checkpoint(tmp_path, "theirs") is not None
    with TrafficEnv(
        config.traffic
    ) as env:  # neither belongs to this run: both are kept as long as possible
        resume(Training(tiny(seed=1), env), tmp_path)
    assert load_checkpoint(tmp_path, "theirs") is not None


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    save_checkpoint(tmp_path, {"evil": Evil()}, "hash")
    assert load_checkpoint(tmp_path, "hash") is None
    assert not (tmp_path / "owned").exists()
