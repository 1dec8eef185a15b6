"""What a store holds, in counts and bars."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import existing
from jobs.progress import console


def main(settings: Settings) -> int:
    """`radmill store stats store=DIR [out=stats.html|png|svg]`."""
    from pipelines.reporting.stats import as_text, stats, write_plots
    from storage.manifest import Store

    numbers = stats(Store.open(existing(str(settings.store), "store")))
    print(as_text(numbers))
    if settings.out is not None:
        write_plots(Path(settings.out), numbers)
        console.print(f"Plots: {settings.out}", markup=False)
    return 0
