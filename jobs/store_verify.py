"""Every byte of a store against its checksums."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.local import num_processes
from jobs.config import Settings
from jobs.folders import existing
from jobs.progress import console, shown
from storage.errors import StorageError
from storage.wording import counted

if TYPE_CHECKING:
    from storage.care.findings import Damage

DAMAGED = 1


def check(settings: Settings) -> None:
    """The store is there."""
    existing(str(settings.store), "store")


def main(settings: Settings) -> int:
    """`radmill store verify store=DIR`; exit code 1 where anything is damaged."""
    from storage.care.verify import verify

    root, begun = existing(str(settings.store), "store"), time.monotonic()
    with shown("store verify") as progress:
        found = verify(root, num_processes(settings.cluster), progress)
    for damage in found.damages:
        print(damage)
    if found.unsealed:
        console.print(
            f"{counted(len(found.unsealed), 'file')} without a checksum, of an older radmill: only the members of "
            "shards could be checked. Run radmill ingest again to have all sealed.",
            markup=False,
        )
    seconds = max(time.monotonic() - begun, 1e-9)
    rate = (
        f"{found.size_bytes / 1e6:,.1f} MB in {seconds:.1f} s, {found.size_bytes / 1e6 / seconds:,.0f} MB/s"
    )
    console.print(f"{counted(found.films, 'film')}, {counted(found.files, 'file')}, {rate}", markup=False)
    if found.damages:
        console.print(_advice(root, found.damages), markup=False)
        return DAMAGED
    console.print(f"{root} is whole.", markup=False)
    return 0


def _advice(root: Path, damages: Sequence[Damage]) -> str:
    """What mends this: repair, from the raw films where some were lost; ingest; an erasure ends by itself alone."""
    unended = sum(damage.unended for damage in damages)
    tables = sum(damage.file.startswith(_live(root)) for damage in damages)
    lines = []
    if unended:
        lines.append(f"{counted(unended, 'erasure')} did not end: run the same radmill store erase again.")
    if tables:
        lines.append(
            f"{counted(tables, 'damaged file')} of the live generation: radmill ingest raw=DIR store={root} makes "
            "another one, then radmill store repair removes this."
        )
    if count := len(damages) - unended - tables:
        folders = {"radiographs-": " raw=DIR", "annotations-": " annotations=DIR"}
        needed = (
            text for name, text in folders.items() if any(f"shards/{name}" in one.file for one in damages)
        )
        makes = "makes it again" if count == 1 else "makes them again"
        films = any(one.file.startswith("shards/radiographs-") for one in damages)
        lines.append(
            f"{counted(count, 'damaged file')}: radmill store repair store={root}{''.join(needed)} {makes}."
            + " Give it the ingest.* keys that ingest was given." * films
        )
    return "\n".join(lines)


def _live(root: Path) -> str:
    """Where the tables of the live generation lie; a name that no damage has where CURRENT is damaged too."""
    from storage import generations

    with suppress(StorageError):
        return f"generations/{generations.current(root)}/"
    return "/"
