"""Every byte of a store against its checksums."""

from __future__ import annotations

import time

from cluster.local import num_processes
from jobs.config import Settings
from jobs.folders import existing
from jobs.progress import console, shown

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
            f"{len(found.unsealed)} files carry no checksum: an older radmill wrote them, only the members of their "
            "shards could be checked. Run radmill ingest again to have them sealed.",
            markup=False,
        )
    seconds = max(time.monotonic() - begun, 1e-9)
    rate = (
        f"{found.size_bytes / 1e6:,.1f} MB in {seconds:.1f} s, {found.size_bytes / 1e6 / seconds:,.0f} MB/s"
    )
    console.print(f"{found.films:,} films, {found.files:,} files, {rate}", markup=False)
    if found.damages:
        console.print(
            f"{len(found.damages)} files are damaged; radmill store repair store={root} raw=DIR makes them again.",
            markup=False,
        )
        return DAMAGED
    console.print(f"{root} is whole.", markup=False)
    return 0
