"""A node-local folder for one Ray node, short enough for its sockets, and the sweep of those that nobody owns.

    <scratch>/r<job>.<step>.<restart>.<node>.<start>/
      owner.json     host, boot and the sessions that run in here; its owner holds the kernel's lock on it

A kernel lock dies with its holder, so a folder whose lock is free is left over: by a node that died, or by an
owner that was killed together with its guard. The next start on that node ends what still runs and removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

from cluster import sessions
from storage.errors import ConfigError

# A unix socket's path holds 107 bytes, and Ray puts about 60 behind its temp-dir.
MOST_BYTES = 45
# What a folder's name takes of them: r12345678.0.12.123.1 and the slash.
NAME_BYTES = 21
_SETTLED_S = 600.0


def check_root(scratch: str) -> None:
    """Raise ConfigError where a folder below `scratch` would be too long for Ray's sockets."""
    if not scratch.startswith("/"):
        raise ConfigError(f"cluster.scratch must be an absolute path, but is {scratch}.")
    if len(scratch.encode()) + NAME_BYTES > MOST_BYTES:
        raise ConfigError(
            f"cluster.scratch must have at most {MOST_BYTES - NAME_BYTES} bytes, for Ray's sockets lie below it and "
            f"a socket's path holds 107; {scratch} has {len(scratch.encode())}. Name a shorter node-local folder."
        )


class Scratch:
    """A folder of mode 0700 that is ours while this process lives."""

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root / name
        try:
            self.folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise ConfigError(
                f"{self.folder} can't be made on {socket.gethostname()}: {error.strerror}; "
                "name another node-local folder by cluster.scratch=."
            ) from error
        self._owner = os.open(self.folder / "owner.json", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self.own([])

    def own(self, numbers: list[int]) -> None:
        """Name the sessions that run in here."""
        runs = [[number, sessions.started(number)] for number in numbers]
        owner = {"host": socket.gethostname(), "boot": _boot(), "sessions": runs}
        os.ftruncate(self._owner, 0)
        os.pwrite(self._owner, json.dumps(owner).encode(), 0)

    def release(self) -> None:
        """Give up the lock; the folder is somebody else's to remove."""
        os.close(self._owner)


def sweep(root: Path) -> list[str]:
    """End what runs in our abandoned folders on this node and remove them; returns their names."""
    swept = []
    for folder in sorted(root.glob("r[0-9]*.*.*.*.*")):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            if _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                swept.append(folder.name)
    return swept


def _abandoned(folder: Path) -> bool:
    """True if nobody holds the folder any more; what still ran there has then been ended."""
    try:
        descriptor = os.open(folder / "owner.json", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # its owner died, or is, between two system calls
        return time.time() - folder.stat().st_mtime > _SETTLED_S
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = json.loads(os.read(descriptor, 1 << 20) or b"{}")
    except (BlockingIOError, ValueError):
        return False
    finally:
        os.close(descriptor)
    if owner.get("host") != socket.gethostname():
        return False  # nodes may share the folder: each sweeps its own
    if owner["boot"] == _boot():
        for number, began in owner["sessions"]:
            # A new process may have got the old number; where the leader is gone, only its own can bear it.
            if sessions.started(number) in (None, began):
                sessions.end(number)
    return True


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
