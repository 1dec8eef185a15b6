"""The films of a store, or what was left out of it, as plain columns parted by tabs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.config import Settings
from jobs.folders import existing, opened_store
from storage.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

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
_PSEUDONYMS = ("subject", "exam")  # of which the beginning is enough
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
        _check_known(rows, wanted, store.root)
    picked = look.matching(rows, wanted)
    values = (rows[name].to_pylist() for name in rows.column_names)
    columns = [["-" if one[row] in (None, "") else str(one[row]) for row in picked] for one in values]
    lines = ["\t".join(rows.column_names), *map("\t".join, zip(*columns, strict=True))]
    try:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # `radmill store ls | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _check_known(rows: pa.Table, wanted: Mapping[str, str], root: Path) -> None:
    """Raise ConfigError where a value can fit no film, or fits none of this store though the column is free text."""
    from storage.care import look
    from storage.deidentify import SIDES
    from storage.vocabulary import VIEWS

    words = {"laterality": SIDES, "view": VIEWS}
    for column, value in wanted.items():
        if value in words.get(column, ()) or look.matching(rows, {column: value}):
            continue
        if column in _PSEUDONYMS:
            raise ConfigError(
                f"{root} holds no film of {column} {value!r}, nor of one that begins so; "
                f"radmill store ls store={root} lists them."
            )
        there = sorted(set(filter(None, rows[column].to_pylist())) | set(words.get(column, ())))
        raise ConfigError(f"{column} must be one of {', '.join(there)}, but is {value}.")
