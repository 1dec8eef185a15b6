"""What lies below raw=: every file listed, hashed and looked at, no pixel decoded."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

from pipelines.ingest.decode import Found, Inspected, Refused, inspect_file
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.overrides import read_overrides
from pipelines.ingest.task import IngestTask, read_lines, write_lines
from pipelines.progress import Progress
from storage.errors import InputError, Quarantined
from storage.radiograph import Header, Identity


def list_files(folder: Path, key: str, skip: Collection[Path] = ()) -> list[str]:
    """Paths below the folder in POSIX form, ordered by bytes; links to folders are listed, not followed.

    So is what can't be looked at, or lies deeper than the system's longest path: whoever reads it says why it is
    no film. InputError where there is nothing, or a folder can't be read.
    """
    if not folder.is_dir():
        raise InputError(f"{key}={folder} is not a folder.")
    root = os.path.realpath(folder)
    skipped = {os.path.realpath(path) for path in skip}
    names: list[str] = []

    def unreadable(error: OSError) -> None:
        if error.errno != errno.ENAMETOOLONG:
            raise InputError(
                f"A folder at or below {key}={folder} can't be read: {error.strerror}. "
                "Let whoever runs this read and search it, or move it away."
            ) from error
        names.append(os.path.relpath(error.filename, root))

    for parent, folders, files in os.walk(root, onerror=unreadable):
        links = {name for name in folders if _is_link(f"{parent}/{name}")}
        folders[:] = [name for name in folders if name not in links and f"{parent}/{name}" not in skipped]
        for name in (*files, *links):
            path = f"{parent}/{name}"
            # below a real folder only a link is not itself its real path; realpath bears links in circles
            if (os.path.realpath(path) if _is_link(path) else path) not in skipped:
                names.append(path[len(root) :].lstrip("/"))
    if not names:
        raise InputError(f"{key}={folder} holds no files; name a folder with films.")
    return sorted(names, key=os.fsencode)


def _is_link(path: str) -> bool:
    """False too where the path can't be looked at."""
    return os.path.islink(path)  # noqa: PTH114 - Path.is_symlink raises there


def scan_part(task: IngestTask, index: int, width: int, pool: GuardedPool, progress: Progress) -> None:
    """Look at one part of the files below raw=, each in a guarded child, and write down what they are.

    A file belongs to a part by its path alone: parts that list raw= while files come and go never take one
    twice, nor leave out one that was there all the time.
    """
    limits, run_id = task.limits, task.run_id
    listed = list_files(task.raw, "raw", task.no_films)
    read_overrides(task.overrides).check(listed)
    names = [name for name in listed if crc32(os.fsencode(name)) % width == index]
    del listed

    def inspect(name: str) -> Found:
        try:
            return pool.call(inspect_file, task.raw / name, limits)
        except Quarantined as error:
            return Refused(error.reason, error.detail)

    def lines() -> Iterator[object]:
        yield run_id
        refused = 0
        for done, (name, result) in enumerate(zip(names, pool.map(inspect, names), strict=True), 1):
            refused += isinstance(result, Refused)
            yield name, type(result).__name__, asdict(result)
            progress(done, len(names), f"files looked at, {refused} quarantined")

    write_lines(_part(task, index, width), lines())


def missing_scans(task: IngestTask, width: int) -> list[int]:
    """The parts of the scan that are still to be done: not there, or by a run that was killed before this began."""
    run_id = task.run_id
    paths = ((index, _part(task, index, width)) for index in range(width))
    return [index for index, path in paths if not path.exists() or next(read_lines(path), None) != run_id]


def scanned(task: IngestTask, width: int) -> Iterator[tuple[str, Found]]:
    """Every file below raw= and what it is, from all parts of the scan; one in memory at a time."""
    for index in range(width):
        for name, kind, fields in islice(read_lines(_part(task, index, width)), 1, None):
            yield name, Refused(**fields) if kind == Refused.__name__ else _inspected(fields, task.data_kind)


def _part(task: IngestTask, index: int, width: int) -> Path:
    return task.work / f"scan-{index:05d}-of-{width:05d}.jsonl"


def _inspected(fields: dict[str, Any], data_kind: str | None) -> Inspected:
    """Back from JSON; data_kind: what the caller says that the file is."""
    header = fields["header"]
    identity = header["identity"]
    identity = Identity(**identity | {name: tuple(identity[name]) for name in ("taken", "made_from")})
    kind = data_kind or header["data_kind"]
    header = Header(**header | {"identity": identity, "data_kind": kind})
    return Inspected(fields["sha256"], header, fields["crc32c"])
