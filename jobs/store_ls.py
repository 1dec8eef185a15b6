"""The films of a store, or what was left out of it, as plain columns parted by tabs."""

from __future__ import annotations

import sys
from dataclasses import asdict

from jobs.config import Settings
from jobs.folders import existing

FILM = (
    "key",
    "subject",
    "exam",
    "height",
    "width",
    "bits",
    "modality",
    "view",
    "laterality",
    "polarity_flag",
    "shard",
)
LEFT_OUT = ("token", "frame", "reason", "detail", "stage")


def main(settings: Settings) -> int:
    """`radmill store ls store=DIR [subject=...] [laterality=L] ...`, or `[reason=REASON|any]` for exclusions."""
    from storage.care import look
    from storage.manifest import Store

    store = Store.open(existing(str(settings.store), "store"))
    wanted = {name: value for name, value in asdict(settings.ls).items() if value is not None}
    reason = wanted.pop("reason", None)
    if reason is not None:
        rows = look.table(store, "exclusions", LEFT_OUT)
        rows = rows if reason == "any" else look.matching(rows, {"reason": reason})
    else:
        rows = look.matching(look.table(store, "manifest", FILM), wanted)
    columns = [
        ["-" if value in (None, "") else str(value) for value in rows[name].to_pylist()]
        for name in rows.column_names
    ]
    lines = ["\t".join(rows.column_names), *map("\t".join, zip(*columns, strict=True))]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
