"""A contact sheet of a store's films."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing, opened_store
from jobs.progress import console, shown


def check(settings: Settings) -> None:
    """The store is there."""
    existing(str(settings.store), "store")


def main(settings: Settings) -> int:
    """`radmill store sheet store=DIR out=sheet.png [films=48] [which=random|flagged] [masks=true]`."""
    from pipelines.reporting.sheet import write_sheet

    store, out, wanted = opened_store(settings), Path(str(settings.out)), settings.sheet
    with shown("store sheet") as progress:
        films = write_sheet(
            out, store, wanted.films, wanted.which, wanted.masks, wanted.seed, progress=progress
        )
    console.print(f"Contact sheet of {films} films: {out}", markup=False)
    return 0
