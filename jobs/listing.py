"""Has a folder of raw files changed? Told by names, sizes and times, so that a look costs no reading."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from storage.errors import InputError


def listing(path: Path, skip: Sequence[Path] = ()) -> str:
    """Fingerprint of a file or folder. skip: files and folders of ours that may lie below it.

    A file that can't be looked at counts by its name alone: ingest makes a row of it, and names stay unsaid.
    """
    digest = hashlib.sha256()
    for file in files_below(path, skip):
        try:
            stat = file.stat()
            seen = f"{stat.st_size}|{stat.st_mtime_ns}"
        except OSError:
            seen = "unseen"
        digest.update(f"{file.relative_to(path)}|{seen}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def files_below(path: Path, skip: Sequence[Path] = ()) -> Iterator[Path]:
    """The file itself, or all files below the folder in a fixed order, without those to skip.

    InputError where a folder can't be read: what it holds would be missed without a word.
    """
    if not path.is_dir():
        yield path
        return
    ours = {os.path.realpath(one) for one in skip}  # bears links in circles, as resolve() does not
    for folder, folders, names in os.walk(path, onerror=partial(_unreadable, path)):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if os.path.realpath(here / name) not in ours)
        yield from (here / name for name in sorted(names) if os.path.realpath(here / name) not in ours)


def _unreadable(path: Path, error: OSError) -> None:
    if error.errno == errno.ENAMETOOLONG:
        return  # ingest makes a row of it
    # names below the user's folder stay unsaid
    raise InputError(
        f"A folder at or below {path} can't be read: {error.strerror}. "
        "Let whoever runs this read and search it, or move it away."
    ) from error
