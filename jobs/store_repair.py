"""What is damaged in a store, made again."""

from __future__ import annotations

from pathlib import Path

from cluster.local import num_processes
from jobs.config import Settings
from jobs.folders import existing, held
from jobs.progress import console, shown

STILL_DAMAGED = 1


def check(settings: Settings) -> None:
    """The folders are there."""
    for name in ("store", "raw", "annotations"):
        if (path := getattr(settings, name)) is not None:
            existing(path, name)


def main(settings: Settings) -> int:
    """`radmill store repair store=DIR [raw=DIR] [annotations=DIR]`; exit code 1 where damage remains."""
    from pipelines.ingest.repair import repair
    from storage.care.verify import verify

    root = Path(str(settings.store))
    raw, annotations = (Path(path) if path else None for path in (settings.raw, settings.annotations))
    processes = num_processes(settings.cluster)
    with held("store repair", root), shown("store repair") as progress:
        done = repair(root, settings.ingest, settings.study, raw, annotations, processes, progress)
        remaining = verify(root, processes, progress).damages
    for what, files in (("made again", done.made), ("removed", done.removed)):
        for file in files:
            print(f"{what}: {file}")
    for line in (*done.advice, *(f"still damaged: {damage}" for damage in remaining)):
        print(line)
    console.print(
        f"{len(done.made)} made again, {len(done.removed)} removed, {len(remaining)} damaged", markup=False
    )
    return STILL_DAMAGED if remaining else 0
