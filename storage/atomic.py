"""Files and folders that appear whole or not at all: temporary name, fsync, rename, fsync of the folder.

`x.json` is built as `.x.json.tmp` beside it. The name is fixed, so that a rerun takes over what a killed
process left; a kernel lock on it, which dies with its holder, makes two writers of one name take turns.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.lock import close_own, open_own


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file by `data`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Replace the file by `text` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, obj: object) -> None:
    """Replace the file by JSON with sorted keys; NaN and infinity, which JSON lacks, become null.

    Raises TypeError for anything but mappings, lists, tuples, strings, numbers, booleans and None.
    """
    write_bytes(path, json_bytes(obj))


def json_bytes(obj: object) -> bytes:
    """The bytes that `write_json` writes."""
    text = json.dumps(_finite(obj), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it becomes `path`, or goes away with an exception.

    Missing parent folders are made. Raises StorageError where the disk is full or the folder is not writable.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with _sentence_for(path.parent), _alone(temporary):
        try:
            yield temporary
            _fsync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_dir(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; it becomes `path` with all its files, or goes away with an exception.

    Raises StorageError where `path` exists already: a finished folder is never changed.
    """
    lock = path.with_name(f".{path.name}.lock")
    temporary = path.with_name(f".{path.name}.tmp")
    with _sentence_for(path.parent), _alone(lock):
        try:
            if path.exists():
                raise StorageError(
                    f"{path} exists already and is never changed; remove it to write it again."
                )
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            _fsync_tree(temporary)
            temporary.rename(path)
            fsync_dir(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            lock.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder such that no half of it ever keeps its name; nothing happens where there is none."""
    doomed = path.with_name(f".{path.name}.gone")
    shutil.rmtree(doomed, ignore_errors=True)
    with suppress(FileNotFoundError):
        path.rename(doomed)
        fsync_dir(path.parent)
        shutil.rmtree(doomed)


def fsync_dir(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            _fsync(Path(parent, name))
        fsync_dir(Path(parent))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Make the file empty and hold the kernel's lock on it, after any other holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = open_own(path)
        try:
            # Some Lustre mounts have no locks; one writer per file is the rule there as everywhere.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_at(path, descriptor):
                continue  # the holder before us renamed or removed it
            os.ftruncate(descriptor, 0)
            yield
            return
        finally:
            close_own(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _sentence_for(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "free some or choose another folder; nothing half written remains."
            raise StorageError(f"No space left on {folder}; {advice}") from error
        # The body may open other files too: only names in this folder mean that it can't be written.
        if isinstance(error.filename, str) and folder in (Path(error.filename), Path(error.filename).parent):
            advice = "choose another folder."
            raise StorageError(f"{folder} can't be written: {error.strerror}; {advice}") from error
        raise


def _finite(obj: object) -> Any:
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, Mapping):
        return {str(key): _finite(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_finite(value) for value in obj]
    return obj
