"""A contact sheet of synthetic radiographs, to look at before making thousands."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.progress import console, shown
from storage.errors import InputError


def check(settings: Settings) -> None:
    """The contact sheet will be a file, and a PNG."""
    out = Path(str(settings.out))
    if out.is_dir() or out.suffix.lower() != ".png":
        raise InputError(f"out={out} must name a PNG file to write, such as sheet.png.")


def main(settings: Settings) -> int:
    """`radmill phantoms preview out=sheet.png`."""
    from pipelines.phantoms.preview import write_preview

    out = Path(str(settings.out))
    with shown("phantoms preview") as progress:
        write_preview(out, settings.phantoms, progress=progress)
    console.print(f"Contact sheet: {out}", markup=False)
    return 0
