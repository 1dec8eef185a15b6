"""Files that tell of their own damage, and lists of the checksums of others.

A sealed file (JSON, Parquet) holds `crc32c=` and eight hexadecimal digits: the CRC-32C of all its bytes, taken
with zeros in their place. So the sum appears with its file, whole or not at all, and any flipped bit is found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c

from storage.atomic import json_bytes, write_bytes
from storage.errors import StorageError
from storage.page_cache import advise_sequential

BLANK = "crc32c=00000000"
CHECKSUMS = "checksums.json"
_MARK = b"crc32c="
_DIGITS = 8
_BLOCK = 1 << 17  # larger buffers come fresh from the system each time, which takes longer than the checksum


class Sum(NamedTuple):
    """What a file must be: its length in bytes and their CRC-32C."""

    size: int
    crc32c: int


def sealed(data: bytes) -> bytes:
    """The same bytes with the last BLANK in them filled in."""
    place = data.rindex(BLANK.encode()) + len(_MARK)
    return data[:place] + _digits(data) + data[place + _DIGITS :]


def is_sealed(data: bytes) -> bool:
    """Whether the bytes carry a checksum, right or wrong."""
    return data.rfind(_MARK) >= 0


def check_seal(path: Path, data: bytes) -> None:
    """Raise StorageError where the file's own checksum is not that of its bytes; one without is let through."""
    place = data.rfind(_MARK) + len(_MARK)
    if place < len(_MARK):
        return  # written by hand, or before there were seals: `store verify` says so
    blank = data[:place] + b"0" * _DIGITS + data[place + _DIGITS :]
    if data[place : place + _DIGITS] != _digits(blank):
        raise StorageError(f"{path} is damaged: its {len(data)} bytes do not match their checksum.")


def write_sealed_json(path: Path, obj: Mapping[str, Any]) -> None:
    """Replace the file by sealed JSON."""
    write_bytes(path, sealed_json(obj))


def sealed_json(obj: Mapping[str, Any]) -> bytes:
    """The bytes that `write_sealed_json` writes."""
    return sealed(json_bytes({**obj, "seal": BLANK}))


def read_sealed_json(path: Path) -> dict[str, Any]:
    """What was written, without the seal. StorageError where damaged; OSError where it can't be read."""
    data = path.read_bytes()
    check_seal(path, data)
    try:
        content = json.loads(data)
        content.pop("seal", None)
    except (ValueError, AttributeError) as error:
        raise StorageError(f"{path} is damaged: it holds no JSON object.") from error
    return dict(content)


def file_sum(path: Path) -> Sum:
    """Length and checksum of a file, read in blocks."""
    size = crc32c = 0
    for block in blocks(path):
        size += len(block)
        crc32c = google_crc32c.extend(crc32c, block)
    return Sum(size, crc32c)


def blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a piece in memory at a time."""
    with path.open("rb", buffering=0) as file:
        advise_sequential(file.fileno())
        while block := file.read(_BLOCK):
            yield block


def data_sum(data: bytes) -> Sum:
    """The same of bytes in memory."""
    return Sum(len(data), int(google_crc32c.value(data)))


def folder_sums(folder: Path, without: str) -> dict[str, Sum]:
    """Path below the folder -> its sum, for all files but one."""
    paths = sorted(Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: file_sum(path) for name, path in named.items() if name != without}


def as_json(sums: Mapping[str, Sum]) -> dict[str, dict[str, int]]:
    """Sums as they stand in JSON."""
    return {name: one._asdict() for name, one in sums.items()}


def from_json(content: Mapping[str, Mapping[str, int]]) -> dict[str, Sum]:
    """The inverse of `as_json`."""
    return {name: Sum(**one) for name, one in content.items()}


def _digits(blank: bytes) -> bytes:
    return f"{google_crc32c.value(blank):08x}".encode()
