"""Films of the live generation that are no longer below raw=: an ingest makes the store what raw= holds."""

from __future__ import annotations

from pathlib import Path

from pipelines.ingest.identify import Scan
from storage import generations
from storage.errors import InputError, StorageError
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
