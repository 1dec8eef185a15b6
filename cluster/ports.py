"""Blocks of ports that two jobs on one node can't share.

Ray's defaults collide, some silently: two clusters on one node both listen to 10001. A block of 16 is held by the
kernel's lock on a node-local file, which dies with its holder, and every port of it is bound once before it is used;
other users' jobs are found by that alone, so whoever still meets a clash takes the next block.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from storage.errors import StorageError

FIRST, END, WIDTH = 20000, 30000, 16  # below the kernel's ephemeral ports (32768 and up)


class PortBlock:
    """Ports base to base + 15, ours until `release` or the end of this process."""

    def __init__(self, base: int, lock: int) -> None:
        self.base = base
        self._lock = lock

    def __getitem__(self, index: int) -> int:
        """Port `index` of the block."""
        if not 0 <= index < WIDTH:
            raise IndexError(index)
        return self.base + index

    def release(self) -> None:
        """Let others have the block."""
        with suppress(OSError):
            os.close(self._lock)


def take_block(scratch: Path, start: int) -> PortBlock:
    """The first free block from number `start` on, which may be any number such as a job's id.

    Raises StorageError if every block is taken.
    """
    folder = scratch / f"radmill-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for base in _bases(start):
        lock = os.open(folder / str(base), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        if all(is_free(port) for port in range(base, base + WIDTH)):
            return PortBlock(base, lock)
        os.close(lock)
    raise StorageError(
        f"No {WIDTH} free ports in a row between {FIRST} and {END} on {socket.gethostname()}; end what listens there."
    )


def is_free(port: int) -> bool:
    """True if nobody listens to the port on any address of this node."""
    with socket.socket() as probe:
        # Connections that linger after their end do not count, listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            probe.listen()
        except OSError:
            return False
    return True


def _bases(start: int) -> Iterator[int]:
    count = (END - FIRST) // WIDTH
    for offset in range(count):
        yield FIRST + (start + offset) % count * WIDTH
