"""Which films are in a store twice: with the same pixels, or the same to the eye, within and across subjects.

STORE/records/near.json keeps how alike the candidates were: a rerun need not read the films again, some of
which are in no shard any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pipelines.ingest.near import Look, Pair, correlate, near_duplicates
from pipelines.ingest.small_pictures import SmallPictures
from storage.errors import StorageError
from storage.records import Left, same_as
from storage.seal import read_sealed_json, write_sealed_json


def find_duplicates(
    alone: Iterable[Look],
    alike: Collection[Sequence[Look]],
    store_root: Path,
    pictures: SmallPictures,
) -> dict[str, Left]:
    """Key -> why a film is left out, and for which.

    alone: films whose pixels no other has; alike: groups of films with the same pixels. Of each group the first by
    `Look.place` stays, of near duplicates the first such film.
    """
    groups = [sorted(group, key=lambda look: look.place) for group in alike]
    firsts = sorted((*alone, *(group[0] for group in groups)), key=lambda look: look.place)
    near = _near(firsts, store_root, pictures)
    subjects = {look.key: look.subject for look in firsts}

    def left(key: str, subject: str, reason: str, what: str, kept: str) -> Left:
        return Left(key, "", reason, same_as(what, kept, across=subject != subjects[kept]), same_as=kept)

    left_out = {
        key: left(key, subjects[key], "near_duplicate", "the same film to the eye", kept)
        for key, kept in near.items()
    }
    for first, *others in groups:
        kept = near.get(first.key, first.key)
        for look in others:
            left_out[look.key] = left(look.key, look.subject, "duplicate", "the same pixels", kept)
    return left_out


def _near(looks: Sequence[Look], store_root: Path, pictures: SmallPictures) -> dict[str, str]:
    path = store_root / "records" / "near.json"
    known, seen = _load(path), {}

    def correlation(one: Look, other: Look) -> float:
        pair = _name((one, other))
        if pair not in known:
            known[pair] = round(correlate(pictures.of(one), pictures.of(other)), 4)
        seen[pair] = known[pair]
        return seen[pair]

    def unknown(pair: Pair) -> bool:
        return _name(pair) not in known

    near = near_duplicates(looks, correlation, lambda pairs: pictures.ahead(pairs, unknown))
    if seen:
        write_sealed_json(path, dict(sorted(seen.items())))
    else:
        path.unlink(missing_ok=True)
    return near


def _name(pair: Pair) -> str:
    return " ".join(look.key for look in pair)


def _load(path: Path) -> dict[str, float]:
    try:
        return {str(pair): float(value) for pair, value in read_sealed_json(path).items()}
    except FileNotFoundError:
        return {}
    except (StorageError, ValueError, TypeError) as error:
        raise StorageError(f"{path} is damaged; remove it and run ingest again.") from error
