"""Which films go into which shard, told before anything is written, in whatever order films come.

Subjects are placed by the leading bits of a hash of their pseudonyms. All subjects begin in one shard; a shard
with too many films is split by the next bit, and so on (extendible hashing: Fagin et al., ACM TODS 4(3), 1979).
The plan is thus a function of the films alone, whatever was planned before, and films added later touch no
shard but those that take them. Shards are some two thirds full on average.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage.schemas import FORMAT

_BITS = 24  # of the hash, six hexadecimal digits in a shard's name


@dataclass(frozen=True, slots=True)
class Film:
    """One sample to be placed."""

    key: str
    subject: str
    content: str = ""  # what its members are made of beyond its key, such as the digests of its masks


@dataclass(frozen=True, slots=True)
class Planned:
    """One shard: its file name and the keys of its samples in their order."""

    shard: str
    keys: tuple[str, ...]


def plan_shards(films: Sequence[Film], films_per_shard: int, kind: str = "radiographs") -> list[Planned]:
    """Fill shards with whole subjects, up to `films_per_shard` films each.

    A subject with more films than that gets a larger shard of its own. kind: radiographs or annotations. The
    name is `<kind>-<prefix>-<plan8>.tar`: the hash from which on the shard takes subjects, in six hexadecimal
    digits, and a digest of the contents: a shard there under its name is the right one.
    """
    of_subject: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        of_subject[film.subject].append(film)
    subjects = sorted((_hash(subject), subject) for subject in of_subject)
    planned = []
    for first, group in _split(
        subjects, {name: len(own) for name, own in of_subject.items()}, films_per_shard
    ):
        members = [film for name in group for film in sorted(of_subject[name], key=lambda film: film.key)]
        name = f"{kind}-{first:06x}-{_digest(members, films_per_shard)}.tar"
        planned.append(Planned(name, tuple(film.key for film in members)))
    return planned


def _split(
    subjects: list[tuple[int, str]],
    sizes: dict[str, int],
    films_per_shard: int,
    first: int = 0,
    bits: int = 0,
) -> Iterator[tuple[int, list[str]]]:
    """The subjects, ordered by hash, in groups that fit; each with its first hash.

    All of them share their first `bits` bits, those of `first`.
    """
    if not subjects:
        return
    if len(subjects) == 1 or bits == _BITS or sum(sizes[name] for _, name in subjects) <= films_per_shard:
        yield first, [name for _, name in subjects]
        return
    middle = first + (1 << (_BITS - bits - 1))
    lower = [subject for subject in subjects if subject[0] < middle]
    yield from _split(lower, sizes, films_per_shard, first, bits + 1)
    yield from _split(subjects[len(lower) :], sizes, films_per_shard, middle, bits + 1)


def _hash(subject: str) -> int:
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[: _BITS // 8], "big")


def _digest(group: list[Film], films_per_shard: int) -> str:
    contents = [(film.subject, film.key, film.content) for film in group]
    described = json.dumps(
        {"format": FORMAT, "films_per_shard": films_per_shard, "films": contents}, sort_keys=True
    )
    return hashlib.sha256(described.encode()).hexdigest()[:8]
