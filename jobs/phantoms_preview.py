"""A contact sheet of synthetic radiographs, to look at before making thousands."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.progress import console, shown


def main(settings: Settings) -> int:
    """`radmill phantoms preview out=sheet.png`."""
    from pipelines.phantoms.preview import write_preview

    out = Path(str(settings.out))
    with shown("phantoms preview") as progress:
        write_preview(out, settings.phantoms, progress=progress)
    console.print(f"Contact sheet: {out}", markup=False)
    return 0
