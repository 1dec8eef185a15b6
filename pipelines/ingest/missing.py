"""What an ingest would take back of the live generation: it makes the store what raw= and its settings say."""

from __future__ import annotations

from pathlib import Path

from pipelines.ingest.identify import Scan
from pipelines.ingest.overrides import Override, Overrides
from storage import generations
from storage.errors import InputError, StorageError
from storage.seal import read_sealed_json, write_sealed_json
from storage.wording import counted


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
    path = _remembered(store_root)
    if overrides is None and path.exists():
        lines = counted(int(read_sealed_json(path)["lines"]), "line")
        raise InputError(
            f"{store_root} was made with ingest.overrides, a table of {lines}; this ingest names none, so films that "
            "it leaves out or corrects would be as before. Name ingest.overrides=FILE again, or to take everything "
            "back a table of two lines, path,exclude and *,no."
        )


def remember_overrides(overrides: Overrides, store_root: Path) -> None:
    """Note beside the records that a table says something; what it says stays with its owner."""
    path = _remembered(store_root)
    if any(override not in (Override(), Override(exclude="no")) for _, _, override in overrides.rows):
        write_sealed_json(path, {"lines": len(overrides.rows)})
    elif path.exists():
        path.unlink()


def _remembered(store_root: Path) -> Path:
    return store_root / "records" / "overrides.json"
