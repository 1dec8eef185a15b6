"""A contact sheet of synthetic radiographs, to look at before making thousands."""

from __future__ import annotations

from jobs.config import Settings
from jobs.folders import png_file
from jobs.progress import console, shown


def check(settings: Settings) -> None:
    """The contact sheet will be a file, and a PNG."""
    png_file(str(settings.out))


def main(settings: Settings) -> int:
    """`radmill phantoms preview out=sheet.png`."""
    from pipelines.phantoms.study import preview_writer

    out = png_file(str(settings.out))
    with shown("phantoms preview") as progress:
        preview_writer(settings.study.name)(out, settings.phantoms, progress=progress)
    console.print(f"Contact sheet: {out}", markup=False)
    return 0
