import pytest
import torch

from rsm.checkpoint import (
    CURRENT,
    PREVIOUS,
    load_checkpoint,
    load_policy,
    remove_checkpoints,
    save_checkpoint,
    save_policy,
)
from rsm.errors import ConfigError


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
    loaded = load_checkpoint(tmp_path, "hash")
    assert loaded is not None
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
    assert loaded is not None and loaded["number"] == 1
    assert "damaged checkpoint" in capsys.readouterr().err


def test_checkpoint_of_other_settings_is_refused(tmp_path, capsys):
    save_checkpoint(tmp_path, state(1), "theirs")
    assert load_checkpoint(tmp_path, "ours") is None
    assert "made with other settings (theirs, not ours): refused" in capsys.readouterr().err


def test_failed_write_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, state(1), "hash")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, state(2), "hash")
    monkeypatch.undo()
    loaded = load_checkpoint(tmp_path, "hash")
    assert loaded is not None and loaded["number"] == 1
    assert {path.name for path in tmp_path.iterdir()} <= {CURRENT, PREVIOUS}


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    save_checkpoint(tmp_path, {"evil": Evil()}, "hash")
    assert load_checkpoint(tmp_path, "hash") is None
    assert not (tmp_path / "owned").exists()


def test_policy_is_readable_and_a_missing_one_is_named(tmp_path):
    save_policy(tmp_path, {"theta": torch.ones(2, 3)}, {"settings_hash": "hash"})
    assert torch.equal(load_policy(tmp_path)["theta"], torch.ones(2, 3))
    remove_checkpoints(tmp_path)
    with pytest.raises(ConfigError, match=r"policy\.safetensors: cannot be read"):
        load_policy(tmp_path / "nowhere")
