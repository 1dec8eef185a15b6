"""Processes in sessions of their own, and their certain end.

Whatever a process of ours starts (Ray's daemons, workers, a driver's loaders) stays in its session, whose number is
field 6 of /proc/PID/stat: so all of it can be ended without a look at names, and nobody else's is touched.
A guard, a process beside us, ends sessions and removes folders when we end, even by SIGKILL. It runs this file as
a script, which therefore imports the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

# Slurm sends USR1 and USR2 to whole process trees, and Ray's daemons would die of them; ignored signals stay
# ignored through exec, also those that Python itself ignores. The death signal is the kernel's, so it works where
# nobody is left to send one; util-linux' setpriv knows it only since 2.33, which is newer than some clusters.
_BECOME = """
import ctypes, os, signal, sys
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, signal.SIG_IGN)
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_LAUNCH = (sys.executable, "-I", "-S", "-c", _BECOME)


def start(
    command: Sequence[str], environment: Mapping[str, str], output: IO[str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in a session whose number is its pid; it dies with the thread that called.

    output: takes stdout and stderr; None leaves ours.
    """
    return subprocess.Popen(
        [*_LAUNCH, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
    )


def members(session: int) -> list[int]:
    """Processes of a session that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        fields = _stat(entry.name) if entry.name.isdigit() else None
        if fields and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def end(session: int, patience_s: float = 5.0) -> bool:
    """SIGKILL all of a session until none is left; False if some process would not go."""
    deadline = time.monotonic() + patience_s
    while alive := members(session):
        if time.monotonic() > deadline:
            return False
        for pid in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return True


def stop(process: subprocess.Popen[bytes], patience_s: float = 5.0) -> None:
    """End the session that a process leads, and reap it; one that the kernel holds (a hung disk) is left to it."""
    end(process.pid, patience_s)
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)


def started(pid: int) -> int | None:
    """When a process began, in the kernel's ticks: with the pid it names a process for ever; None if it is gone."""
    fields = _stat(str(pid))
    return int(fields[19]) if fields else None


def words(pid: int) -> list[str]:
    """A process's command line; empty if it is gone."""
    try:
        return Path("/proc", str(pid), "cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _stat(pid: str) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on (state, parent, group, session, ...)."""
    try:
        # The second field, the name, may hold blanks and brackets.
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


class Guard:
    """Ends the sessions and removes the folders that it was told of, on `close` or when this process ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def session(self, number: int) -> None:
        """End this session, too, which a process just started by us leads."""
        self._tell(f"session {number} {started(number)}")

    def folder(self, path: Path) -> None:
        """Remove this folder, after all sessions have ended."""
        self._tell(f"folder {path}")

    def close(self, patience_s: float = 10.0) -> None:
        """Let the guard do its work and wait for its end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()


def _guard() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    orders = [line.rstrip("\n").partition(" ") for line in sys.stdin]
    for kind, _, value in orders:
        if kind == "session":
            session, began = value.split()
            # Hours later the number may be another's; where its leader is gone, only its own bear it.
            if str(started(int(session))) in ("None", began):
                end(int(session))
    for kind, _, value in orders:
        if kind == "folder":
            shutil.rmtree(value, ignore_errors=True)


if __name__ == "__main__":
    _guard()
