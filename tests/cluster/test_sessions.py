"""Sessions and their guard, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from cluster import sessions

# A parent that ignores TERM, a child, and a grandchild whose parent has left it.
FAMILY = ["bash", "-c", "trap '' TERM; sleep 100 & (sleep 100 &) ; wait"]


def wait(until: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_session_ends_with_its_orphans_and_nobody_else() -> None:
    mine, other = sessions.start(FAMILY, os.environ), sessions.start(["sleep", "100"], os.environ)
    wait(lambda: len(sessions.members(mine.pid)) == 3)
    assert sessions.end(mine.pid)
    assert sessions.members(mine.pid) == []
    assert mine.wait() == -signal.SIGKILL
    assert other.poll() is None
    sessions.end(other.pid)
    other.wait()


def test_user_signals_are_ignored_through_exec() -> None:
    child = sessions.start(["bash", "-c", "sleep 100 & wait"], os.environ)
    wait(lambda: len(sessions.members(child.pid)) == 2)
    for pid in sessions.members(child.pid):
        ignored = int(Path(f"/proc/{pid}/status").read_text().partition("SigIgn:\t")[2].split()[0], 16)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            assert ignored >> (number - 1) & 1
    sessions.end(child.pid)
    child.wait()


def test_when_the_owner_is_killed_nothing_remains(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "file").write_text("x")
    owner = textwrap.dedent(f"""
        import os, time
        from pathlib import Path
        from cluster import sessions
        guard = sessions.Guard()
        guard.folder(Path({str(folder)!r}))
        child = sessions.start({FAMILY!r}, os.environ)
        guard.session(child.pid)
        print(child.pid, flush=True)
        time.sleep(100)
    """)
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    session = int(process.stdout.readline())
    wait(lambda: len(sessions.members(session)) == 3)
    process.kill()
    process.wait()
    process.stdout.close()
    wait(lambda: not sessions.members(session) and not folder.exists())


def test_a_process_is_named_by_pid_and_beginning() -> None:
    assert sessions.started(os.getpid()) == sessions.started(os.getpid())
    child = subprocess.Popen(["true"])
    child.wait()
    assert sessions.started(child.pid) is None
