"""A command replaces the files that it wrote into a folder, and no others."""

import json
import zlib

import pytest

from figr_jax.common import files, outputs
from figr_jax.common.errors import BadInput


def test_earlier_files_are_replaced_and_those_of_others_kept(tmp_path):
    outputs.write(tmp_path, {"a.png": b"1", "b.png": b"2"}, "sample")
    outputs.write(tmp_path, {"c.png": b"3"}, "curves")
    (tmp_path / "mine.png").write_bytes(b"mine")
    outputs.check(tmp_path, ["a.png"], "sample", "--out")
    outputs.write(tmp_path, {"a.png": b"4"}, "sample")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.png", "c.png", "mine.png", outputs.LIST}
    assert outputs.find_ours(tmp_path) == {"a.png", "c.png"}


def test_a_file_that_was_deleted_or_changed_leaves_the_others_ours(tmp_path):
    outputs.write(tmp_path, {"a.png": b"1", "b.png": b"2", "c.png": b"3"}, "sample")
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").write_bytes(b"mine")
    assert outputs.find_ours(tmp_path) == {"c.png"}
    with pytest.raises(BadInput, match="b.png exists and"):
        outputs.check(tmp_path, ["a.png", "b.png"], "sample", "--out")
    outputs.write(tmp_path, {}, "sample")
    assert (tmp_path / "b.png").read_bytes() == b"mine"


def test_a_list_leads_to_no_other_folder(tmp_path):
    victim, folder = tmp_path / "victim.txt", tmp_path / "out"
    victim.write_bytes(b"x")
    folder.mkdir()
    names = {"../victim.txt": [zlib.crc32(b"x")]}
    (folder / outputs.LIST).write_text(json.dumps({"figr_jax": {"sample": names}}))
    outputs.write(folder, {}, "sample")
    assert victim.exists()


def test_a_list_of_the_users_own_is_not_overwritten(tmp_path):
    (tmp_path / outputs.LIST).write_text('{"notes": 1}')
    with pytest.raises(BadInput, match="written.json exists and"):
        outputs.check(tmp_path, [], "sample", "--out")


def test_an_interrupted_call_leaves_no_file_unlisted(tmp_path, monkeypatch):
    outputs.write(tmp_path, {"a.png": b"1"}, "sample")

    def fail(path, data):
        if path.name == "b.png":
            raise OSError("disk full")
        write(path, data)

    write = files.write_bytes
    monkeypatch.setattr(files, "write_bytes", fail)
    with pytest.raises(OSError):
        outputs.write(tmp_path, {"a.png": b"2", "b.png": b"3"}, "sample")
    outputs.check(tmp_path, ["a.png", "b.png"], "sample", "--out")
    assert outputs.find_ours(tmp_path) == {"a.png"}
