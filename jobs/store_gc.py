"""What nothing in a store needs any more, removed."""

from __future__ import annotations

from jobs.config import Settings
from jobs.folders import existing, held
from jobs.progress import console


def check(settings: Settings) -> None:
    """The store is there."""
    existing(str(settings.store), "store")


def main(settings: Settings) -> int:
    """`radmill store gc store=DIR [keep=1] [dry=true]`."""
    from storage.care.gc import collect

    root = existing(str(settings.store), "store")
    with held("store gc", root):
        freed = collect(root, settings.gc.keep, settings.gc.dry)
    console.print(f"{'Would free' if settings.gc.dry else 'Freed'} {freed}", markup=False)
    return 0
