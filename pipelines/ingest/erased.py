"""Erased people stay away: their films are left out, and their pseudonyms are not written again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from pipelines.ingest.scan import Exclusion, Scan
from storage.identity import Secret

REASON = "erased"


def without_erased(scan: Scan, secret: Secret, erased: Collection[str]) -> Scan:
    """The scan without the films of erased people, each file an exclusion. erased: tombstones."""
    if not erased:
        return scan
    subjects = {source.subject for source, _ in scan.films.values()}
    gone = {subject for subject in subjects if secret.tombstone(subject) in erased}
    tokens = {source.token for source, _ in scan.films.values() if source.subject in gone}
    films = {key: film for key, film in scan.films.items() if film[0].subject not in gone}
    return replace(
        scan,
        films=films,
        keys_by_name={name: key for name, key in scan.keys_by_name.items() if key in films},
        exclusions=[*scan.exclusions, *(Exclusion(token, 0, REASON, "", "scan") for token in sorted(tokens))],
    )


def unnamed(exclusions: Iterable[Exclusion], secret: Secret, erased: Collection[str]) -> list[Exclusion]:
    """Exclusions of outcomes, whose token is a pseudonym: of erased people the tombstone stands there."""
    named = []
    for one in exclusions:
        tombstone = secret.tombstone(one.token) if erased else ""
        named.append(replace(one, token=tombstone, reason=REASON, detail="") if tombstone in erased else one)
    return sorted(set(named))
