"""A Ray of our own: on loopback alone, and nothing of it stays, however its process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster import local_ray
from storage.errors import RadmillError

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, psutil, sys, time
from cluster.local_ray import connected
with connected(1):
    below = psutil.Process().children(recursive=True)
    heard = {line.laddr.ip for one in below for line in one.net_connections("tcp") if line.status == "LISTEN"}
    print(",".join(sorted(heard)), *(one.pid for one in below), flush=True)
    if sys.argv[1] == "wait":
        time.sleep(600)
"""


def started(how: str, scratch: Path) -> tuple[subprocess.Popen[str], list[str]]:
    """The process, and what it says: addresses on which its Ray listens, then the ids of Ray's processes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, how], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["end", "wait"])
def test_nothing_of_it_stays(how: str) -> None:
    scratch = Path(f"/tmp/rm{os.getpid()}")
    scratch.mkdir()
    try:
        process, (addresses, *ids) = started(how, scratch)
        assert set(addresses.split(",")) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"} and ids
        if how == "wait":
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        deadline = time.monotonic() + 240  # two agents of Ray notice late that it was killed
        while any(alive(int(number)) for number in ids) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not [number for number in ids if alive(int(number))]
        assert len(list(scratch.iterdir())) == (how == "wait")
        again, _ = started("end", scratch)  # sweeps what the killed one left
        again.communicate(timeout=120)
        assert not list(scratch.iterdir())
    finally:
        scratch.rmdir()


HANGS = """
import os, subprocess, ray
from cluster.local_ray import connected

def begin():
    return subprocess.Popen(["sleep", "600"], start_new_session=True).pid

with connected(1):
    print(ray.get(ray.remote(begin).remote()), flush=True)
"""


@pytest.mark.slow
def test_what_a_worker_started_ends_with_it() -> None:
    """As a worker that hangs would, it heeds nobody: its raylet does not know of it, and its session is its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", HANGS], env=environment, capture_output=True, text=True, check=True
    )
    number = int(done.stdout)
    assert not alive(number)


def alive(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_address_where_nothing_answers_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    sentence = r"^No Ray answers at RAY_ADDRESS=127\.0\.0\.1:1: Connection refused\.$"
    with pytest.raises(RadmillError, match=sentence), local_ray.connected(1):
        raise AssertionError("there is no Ray")


def test_folders_of_dead_processes_go_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(local_ray, "_LONGEST", 1000)
    dead, others = tmp_path / "radmill-ray-x", tmp_path / "radmill-notes"
    dead.mkdir()
    others.mkdir()
    with local_ray._own_folder() as living, local_ray._own_folder() as made:
        assert made.is_dir() and made.stat().st_mode & 0o077 == 0
        assert set(tmp_path.iterdir()) == {living, made, others}
    assert set(tmp_path.iterdir()) == {others}


def test_a_folder_that_another_sweeps_before_our_lock_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(local_ray, "_LONGEST", 1000)
    make, made = local_ray.tempfile.mkdtemp, []

    def swept(**options: Any) -> str:
        made.append(folder := make(**options))
        if len(made) == 1:
            other.enter_context(local_ray._locked(Path(folder)))  # as another process, which removes it next
        elif len(made) == 2:
            Path(folder).rmdir()
        return folder

    monkeypatch.setattr(local_ray.tempfile, "mkdtemp", swept)
    with ExitStack() as other, local_ray._own_folder() as ours:
        assert str(ours) == made[2] and ours.is_dir()
    assert [str(path) for path in tmp_path.iterdir()] == made[:1]
