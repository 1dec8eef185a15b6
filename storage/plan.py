"""Which films go into which shard, told before anything is written, in whatever order films come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from storage.schemas import FORMAT


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
    """Fill shards with whole subjects, in the order of their pseudonyms, up to `films_per_shard` films each.

    A subject with more films than that gets a larger shard of its own. kind: radiographs or annotations. The
    name `<kind>-<index>-<plan8>.tar` ends in a digest of the contents: a shard there under its name is the
    right one.
    """
    ordered = sorted(films, key=lambda film: (film.subject, film.key))
    groups: list[list[Film]] = []
    for _, of_subject in groupby(ordered, key=lambda film: film.subject):
        subject_films = list(of_subject)
        if not groups or len(groups[-1]) + len(subject_films) > films_per_shard:
            groups.append([])
        groups[-1].extend(subject_films)
    return [
        Planned(
            f"{kind}-{index:06d}-{_digest(group, films_per_shard)}.tar", tuple(film.key for film in group)
        )
        for index, group in enumerate(groups)
    ]


def _digest(group: list[Film], films_per_shard: int) -> str:
    contents = [(film.subject, film.key, film.content) for film in group]
    described = json.dumps(
        {"format": FORMAT, "films_per_shard": films_per_shard, "films": contents}, sort_keys=True
    )
    return hashlib.sha256(described.encode()).hexdigest()[:8]
