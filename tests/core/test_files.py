import json
import os
import subprocess
import sys

import pytest

from groundup.core.decisions import Decisions
from groundup.core.errors import UserError
from groundup.core.files import (
    atomic_writer,
    folder_lock,
    read_json,
    replace_folder,
    sha256_of,
    write_bytes,
    write_json,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_writer(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_json_refuses_what_readers_cannot_parse(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_damaged_json_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(UserError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")


def test_sha256_is_the_standard_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_takes_the_place_of_another(tmp_path):
    new, target = tmp_path / "new", tmp_path / "target"
    for folder, text in ((new, "new"), (target, "old")):
        folder.mkdir()
        (folder / "file").write_text(text)
    replace_folder(new, target)
    assert (target / "file").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_a_locked_folder_names_its_holder_and_a_dead_holder_lets_go(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from groundup.core.files import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match=f"process {holder.pid}"), folder_lock(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with folder_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_decision_is_made_once(tmp_path):
    assert Decisions(tmp_path).once("steps", lambda: 7) == 7
    assert Decisions(tmp_path).once("steps", lambda: 8) == 7
    assert json.loads((tmp_path / "decisions.json").read_text()) == {"steps": 7}


def test_a_decision_follows_the_example(tmp_path):
    assert Decisions(tmp_path, example={"steps": 5}).once("steps", lambda: 7) == 5
