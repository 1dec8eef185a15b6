"""A contact sheet of a store's films."""

from __future__ import annotations

from jobs.config import Settings
from jobs.folders import existing, opened_store, png_file
from jobs.progress import console, shown
from storage.wording import counted


def check(settings: Settings) -> None:
    """The store is there; out= is a PNG file."""
    existing(str(settings.store), "store")
    png_file(str(settings.out))


def main(settings: Settings) -> int:
    """`radmill store sheet store=DIR out=sheet.png [films=48] [which=random|flagged] [masks=true]`."""
    from pipelines.reporting.sheet import write_sheet

    store, out, wanted = opened_store(settings), png_file(str(settings.out)), settings.sheet
    with shown("store sheet") as progress:
        films = write_sheet(
            out, store, wanted.films, wanted.which, wanted.masks, wanted.seed, progress=progress
        )
    console.print(f"Contact sheet of {counted(films, 'film')}: {out}", markup=False)
    return 0
