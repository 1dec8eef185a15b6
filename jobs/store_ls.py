"""The films of a store, or what was left out of it, as plain columns parted by tabs."""

from __future__ import annotations

import sys
from dataclasses import asdict

from jobs.config import Settings
from jobs.folders import existing, opened_store

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


def check(settings: Settings) -> None:
    """The store is there."""
    existing(str(settings.store), "store")


def main(settings: Settings) -> int:
    """`radmill store ls store=DIR [subject=...] [laterality=L] ...`, or `[reason=REASON|any]` for exclusions."""
    from storage.care import look

    store = opened_store(settings)
    wanted = {name: value for name, value in asdict(settings.ls).items() if value is not None}
    reason = wanted.pop("reason", None)
    if reason is not None:
        rows = look.left_out(store, LEFT_OUT)
        wanted = {} if reason == "any" else {"reason": reason}
    else:
        rows = look.table(store, "manifest", FILM)
        look.check_known(store.root, rows, wanted)
    picked = look.matching(rows, wanted)
    values = (rows[name].to_pylist() for name in rows.column_names)
    columns = [["-" if one[row] in (None, "") else str(one[row]) for row in picked] for one in values]
    lines = ["\t".join(rows.column_names), *map("\t".join, zip(*columns, strict=True))]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
