"""One holder at a time; the kernel frees the lock of a killed holder, children or not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from storage.errors import InputError, LockedError, StorageError
from storage.lock import FolderLock

ROOT = Path(__file__).parents[2]

HOLD = """
    import os, sys, time
    from pathlib import Path
    from storage.lock import FolderLock
    with FolderLock(Path(sys.argv[1]), "radmill ingest"):
        if os.fork() == 0:  # a worker that outlives its parent
            print("held", flush=True)  # the child runs: its copy of the descriptor is closed
            os.close(1)
            time.sleep(20)
            os._exit(0)
        time.sleep(20)
"""


def hold(folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(folder)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_holder_gets_the_whole_sentence(tmp_path: Path) -> None:
    with hold(tmp_path, SLURM_JOB_ID="77", SLURM_RESTART_COUNT="2") as process:
        with pytest.raises(LockedError) as caught, FolderLock(tmp_path, "radmill segment"):
            pass
        os.killpg(process.pid, signal.SIGKILL)
    assert re.fullmatch(
        rf"{tmp_path} is in use by radmill ingest on host \S+ \(process {process.pid}, Slurm job 77, "
        r"restart 2\) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\. "
        r"Wait until it ends, or choose another folder\.",
        str(caught.value),
    )


def test_kill_minus_9_frees_the_lock_though_a_child_lives(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with FolderLock(tmp_path, "radmill segment"):
            pass
        os.killpg(process.pid, signal.SIGKILL)


def test_after_use_the_file_is_empty_and_the_folder_free(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    for _ in range(2):
        with FolderLock(folder, "radmill ingest"):
            assert b"radmill ingest" in (folder / ".lock").read_bytes()
        assert (folder / ".lock").read_bytes() == b""


def test_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path, "a"),
        pytest.raises(LockedError, match=rf"process {os.getpid()}\)"),
        FolderLock(tmp_path, "b"),
    ):
        pass


def test_a_holder_that_has_not_said_who_it_is(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "a"):
        (tmp_path / ".lock").write_bytes(b"")
        with pytest.raises(LockedError, match="in use by another run that has just begun"):
            FolderLock(tmp_path, "b").__enter__()


def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(StorageError, match="x can't be written: File exists"):
        FolderLock(tmp_path / "x", "a").__enter__()


def test_who_only_refuses_leaves_no_file_that_was_not_there(tmp_path: Path) -> None:
    for expected in ([], [tmp_path / ".lock"]):
        with pytest.raises(InputError), FolderLock(tmp_path, "radmill ingest"):
            raise InputError("raw= holds no films.")
        assert list(tmp_path.iterdir()) == expected
        with FolderLock(tmp_path, "radmill ingest"):
            pass


def test_those_who_share_hold_it_together_and_keep_out_who_does_not(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "a", shared=True):
        with FolderLock(tmp_path, "b", shared=True):
            assert (tmp_path / ".lock").read_bytes() == b""
        with pytest.raises(LockedError, match="in use by another run"):
            FolderLock(tmp_path, "c").__enter__()
    with FolderLock(tmp_path, "c"), pytest.raises(LockedError, match="in use by c on host"):
        FolderLock(tmp_path, "a", shared=True).__enter__()
