"""A node's folder: short, private, and swept when nobody owns it any more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import sessions
from cluster.ray_spec import RaySpec
from cluster.scratch import Scratch, sweep
from storage.errors import ConfigError

NAME = "r7.0.0.1.0"


def abandon(root: Path, child: bool = True) -> int:
    """A folder whose owner was killed while a process of its session ran on; the session's number."""
    owner = f"""
import os
from pathlib import Path
from cluster.scratch import Scratch
import subprocess
scratch = Scratch(Path({str(root)!r}), {NAME!r})
child = subprocess.Popen(["sleep", "100"], start_new_session=True, stdout=subprocess.DEVNULL)
scratch.own([child.pid])
print(child.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def test_the_folder_is_ours_alone(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, NAME)
    assert scratch.folder.stat().st_mode & 0o777 == 0o700
    assert sweep(tmp_path) == []
    scratch.release()
    assert sweep(tmp_path) == [NAME]
    assert not scratch.folder.exists()


def test_what_a_killed_owner_left_is_ended_and_removed(tmp_path: Path) -> None:
    session = abandon(tmp_path)
    assert sessions.members(session) == [session]
    assert sweep(tmp_path) == [NAME]
    assert sessions.members(session) == []
    assert list(tmp_path.iterdir()) == []


def test_another_nodes_folder_stays(tmp_path: Path) -> None:
    session = abandon(tmp_path)
    path = tmp_path / NAME / "owner.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere"}))
    assert sweep(tmp_path) == []
    assert sessions.members(session) == [session]
    sessions.end(session)


def test_a_number_that_went_to_another_process_is_left_alone(tmp_path: Path) -> None:
    session = abandon(tmp_path)
    path = tmp_path / NAME / "owner.json"
    owner = json.loads(path.read_text())
    owner["sessions"][0][1] -= 1
    path.write_text(json.dumps(owner))
    assert sweep(tmp_path) == [NAME]
    assert sessions.members(session) == [session]
    sessions.end(session)


def test_a_long_root_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cluster\.scratch must have at most 24 bytes, .* has 41\."):
        RaySpec(run_folder=str(tmp_path), scratch="/" + "x" * 40)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_root_that_is_not_writable_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^/proc/.* can't be made on"):
        Scratch(Path("/proc"), NAME)
