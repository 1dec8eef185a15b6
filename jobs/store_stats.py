"""What a store holds, in counts and bars."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing, opened_store
from jobs.progress import console


def check(settings: Settings) -> None:
    """The store is there."""
    existing(str(settings.store), "store")


def main(settings: Settings) -> int:
    """`radmill store stats store=DIR [out=stats.html|png|svg]`."""
    from pipelines.reporting.stats import as_text, stats, write_plots

    numbers = stats(opened_store(settings))
    print(as_text(numbers))
    if settings.out is not None:
        write_plots(Path(settings.out), numbers)
        console.print(f"Plots: {settings.out}", markup=False)
    return 0
