"""A whole tar against its checksums: every byte is read once, members and what lies between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from storage.seal import Sum

_BLOCK = 1 << 23


class Payload(NamedTuple):
    """A member as a table names it."""

    offset: int
    size: int
    crc32c: int
    key: str


@dataclass(frozen=True, slots=True)
class TarState:
    """What was found: the sum of the whole file, and the keys of samples whose payload is damaged."""

    whole: Sum
    lost: set[str]


def read_tar(path: Path, members: Iterable[Payload]) -> TarState:
    """Read a tar from front to end. Raises OSError where it can't be read."""
    lost: set[str] = set()
    size = crc32c = 0
    with path.open("rb") as file:
        for member in sorted(members):
            while size < member.offset and (data := file.read(min(_BLOCK, member.offset - size))):
                size, crc32c = size + len(data), google_crc32c.extend(crc32c, data)
            if member.offset != size:  # cut before it, or tables that contradict each other
                lost.add(member.key)
                continue
            data = file.read(member.size)
            size, crc32c = size + len(data), google_crc32c.extend(crc32c, data)
            if google_crc32c.value(data) != member.crc32c:
                lost.add(member.key)
        while data := file.read(_BLOCK):
            size, crc32c = size + len(data), google_crc32c.extend(crc32c, data)
    return TarState(Sum(size, crc32c), lost)
