"""Shards: plain POSIX tars with known offsets, read by tar, webdataset and one pread per member.

A sample is the members that share a key, the name up to its first dot; they lie together. Equal members give
equal bytes: no times, owners or modes of this machine.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import google_crc32c

from storage.atomic import replacing
from storage.errors import StorageError
from storage.page_cache import drop_pages
from storage.seal import Sum

_MEND = "radmill store repair makes it again, or restore the file."
_END = bytes(2 * tarfile.BLOCKSIZE)
_PIECE_BYTES = 32 << 20  # synced, and dropped from the page cache, at a time


class Member(NamedTuple):
    """A file in a shard."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a member's payload lies in its tar, in bytes, and its checksum."""

    offset: int
    size: int
    crc32c: int


class ShardWriter:
    """Write a tar in a with block: whole at its end, or nothing where the block raises."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: set[str] = set()
        self._offset = self._on_disk = self._crc32c = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._file = stack.enter_context(stack.enter_context(replacing(self.path)).open("wb"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._write(_END)
            self._write(bytes(-self._offset % tarfile.RECORDSIZE))
            self._to_disk()

    def add(self, name: str, data: bytes) -> Placed:
        """Append a member; its name is ASCII, at most 100 characters, and new to this shard."""
        if name in self._names:
            raise StorageError(f"{self.path.name} already holds a member {name}.")
        self._names.add(name)
        header = tarfile.TarInfo(name)  # mtime 0, mode 0644, uid and gid 0
        header.size = len(data)
        self._write(header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
        placed = Placed(self._offset, len(data), checksum(data))
        self._write(data)
        self._write(bytes(-len(data) % tarfile.BLOCKSIZE))
        return placed

    @property
    def sum(self) -> Sum:
        """Size and checksum of what was written; after the with block, of the whole tar."""
        return Sum(self._offset, self._crc32c)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._offset += len(data)
        self._crc32c = google_crc32c.extend(self._crc32c, data)
        if self._offset - self._on_disk >= _PIECE_BYTES:
            self._to_disk()

    def _to_disk(self) -> None:
        """Sync what was written since the last time, and let go of its memory."""
        self._file.flush()
        os.fdatasync(self._file.fileno())
        drop_pages(self._file.fileno())
        self._on_disk = self._offset


def checksum(data: bytes) -> int:
    """CRC-32C (Castagnoli) of the bytes, at some 10 GB/s."""
    return int(google_crc32c.value(data))


def read_member(path: Path, offset: int, size: int, crc32c: int) -> bytes:
    """Read one payload and check it; StorageError naming the file where bytes are missing or changed."""
    try:
        with path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), size, offset)
    except FileNotFoundError:
        raise StorageError(f"{path} is missing; {_MEND}") from None
    if checksum(data) != crc32c:
        raise StorageError(
            f"{path} is damaged: the {size} bytes at {offset} do not match their checksum; {_MEND}"
        )
    return data


def iterate_members(path: Path) -> Iterator[Member]:
    """Read a shard in its order, one member in memory at a time."""
    try:
        _check_end(path)
        with tarfile.open(path, "r:") as tar:
            for header in tar:
                payload = tar.extractfile(header)
                if payload is not None:
                    yield Member(header.name, payload.read())
    except FileNotFoundError:
        raise StorageError(f"{path} is missing; {_MEND}") from None
    except tarfile.TarError as error:
        raise StorageError(f"{path} is not a whole tar: {error}; {_MEND}") from error


def _check_end(path: Path) -> None:
    # tarfile takes a tar cut between two members for a shorter one.
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - len(_END)))
        if file.read() != _END:
            raise tarfile.ReadError("its end is missing")
