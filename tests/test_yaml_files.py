import pytest

from rsm.config import RunConfig, load_run
from rsm.errors import ConfigError


def test_unreadable_files_are_named(tmp_path):
    cases = {
        "list.yaml": b"- 1\n",
        "bad.yaml": b"a: [1\n",
        "latin.yaml": "a: é".encode("latin-1"),
        "tag.yaml": b"!!python/object:os.system {}\n",
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            load_run(path)
    with pytest.raises(ConfigError, match="none.yaml: cannot be read: No such file"):
        load_run(tmp_path / "none.yaml")


def test_windows_line_ends_and_an_empty_file_are_fine(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"method: fmarl\r\nseed: 4\r\n")
    assert load_run(path).run_id == "fmarl-seed4"
    path.write_bytes(b"")
    assert load_run(path) == RunConfig()
