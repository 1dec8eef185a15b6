"""Advice to the system on the memory that it gives to files.

What is written, or read for the last time, need not stay there: films that are still to be read would be pushed out,
and a page that was just in use costs less than a fresh one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def advise_sequential(descriptor: int) -> None:
    """Say that an open file will be read from its beginning to its end."""
    _advise(descriptor, "POSIX_FADV_SEQUENTIAL")


def drop_pages(descriptor: int) -> None:
    """Let the pages of an open file go that are on the disk as they are in memory."""
    _advise(descriptor, "POSIX_FADV_DONTNEED")


def drop_pages_of(path: Path) -> None:
    """As `drop_pages`; nothing happens where the file is gone."""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        drop_pages(file.fileno())


def _advise(descriptor: int, what: str) -> None:
    with suppress(AttributeError, OSError):  # some systems, and some file systems, take no advice
        os.posix_fadvise(descriptor, 0, 0, getattr(os, what))
