"""What an ingest would take back of the live generation: it makes the store what raw= and its settings say."""

from __future__ import annotations

from pathlib import Path

from pipelines.ingest.identify import Scan
from pipelines.ingest.overrides import Override, Overrides
from storage import generations
from storage.errors import InputError, StorageError
from storage.seal import write_sealed_json
from storage.wording import counted

NOTE = "overrides.json"  # in a store, whose films follow a table of overrides


def missing_films(store_root: Path, scan: Scan) -> int:
    """How many films would leave the store though nothing below raw= says why.

    A film is there by its file's bytes, wherever that lies now. One that could not be read now is an exclusion and
    not missing, nor is any where the live manifest is damaged, which an ingest makes anew.
    """
    live = generations.current(store_root)
    if live is None:
        return 0
    try:
        films = generations.read(store_root, live, "manifest")
    except StorageError:
        return 0
    there = films["source_sha256"].isin({source.sha256 for source in scan.sources})
    refused = films["token"].isin({one.token for one in scan.exclusions})
    return int((~(there | refused)).sum())


def check_missing(missing: int, raw: Path, store_root: Path) -> None:
    """Raise InputError where films are missing: a folder named by mistake must not empty a store."""
    if missing:
        raise InputError(
            f"{counted(missing, 'film')} of {store_root} would leave it, because raw={raw} no longer holds "
            f"{'its file' if missing == 1 else 'their files'}. Name the folder that holds all films, ingest into "
            "another store=, or let them go with ingest.drop_missing=true."
        )


def check_overrides_named(overrides: Path | None, store_root: Path) -> None:
    """Raise InputError where the store was made with a table of overrides and this ingest names none.

    Films that a person left out, for want of consent perhaps, would be back without a word.
    """
    if overrides is None and ((store_root / NOTE).exists() or _shows_overrides(store_root)):
        raise InputError(
            f"{store_root} was made with ingest.overrides; this ingest names no such table, so films that it leaves "
            "out or corrects would be as before. Name ingest.overrides=FILE again, or to take everything back a table "
            "of two lines, path,exclude and *,no."
        )


def note_overrides(overrides: Overrides, store_root: Path) -> bool:
    """Note in the store that a table says something, and whether it does; what it says stays with its owner."""
    speaks = any(one not in (Override(), Override(exclude="no")) for _, _, one in overrides.rows)
    if speaks:
        write_sealed_json(store_root / NOTE, {"lines": len(overrides.rows)})
    return speaks


def _shows_overrides(store_root: Path) -> bool:
    """Whether the live tables do, as those of stores that were made before there were notes."""
    live = generations.current(store_root)
    try:
        films = generations.read(store_root, live, "manifest") if live else None
        left_out = generations.read(store_root, live, "exclusions") if live else None
    except StorageError:
        return False
    if films is None or left_out is None:
        return False
    corrected = [
        films[column] == "override" for column in ("laterality_source", "view_source", "polarity_flag")
    ]
    return bool((left_out["reason"] == "excluded").any() or any(one.any() for one in corrected))
