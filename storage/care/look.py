"""A store's tables as Arrow, without pandas: a look at a hundred thousand films takes a fraction of a second."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage import generations, tables
from storage.deidentify import SIDES
from storage.errors import ConfigError
from storage.manifest import Store
from storage.vocabulary import VIEWS

_PSEUDONYMS = ("key", "subject", "exam", "token", "device")
_WORDS = {"laterality": SIDES, "view": VIEWS}  # closed vocabularies: a store need not have all of them
_COMPARED = 5000  # keys that a mistyped one is compared with


def table(store: Store, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The live manifest, annotations or exclusions."""
    assert store.generation is not None
    return tables.read_arrow(generations.table_paths(store.root, store.generation)[name], columns)


def left_out(store: Store, columns: Sequence[str]) -> pa.Table:
    """The live exclusions, those of the outcomes too."""
    parts = [table(store, "exclusions", columns)]
    beside = store.root / "outcome_exclusions.parquet"
    if beside.exists():
        parts.append(tables.read_arrow(beside, columns))
    return pa.concat_tables(parts)


def whole_key(keys: Sequence[str], typed: str) -> str:
    """The one key that begins as typed; ConfigError, with the nearest, where there is none or several."""
    found = [key for key in keys if key.startswith(typed)]
    if typed in found:
        return typed
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(found[:3])
        raise ConfigError(f"{len(found)} films begin with {typed!r}, such as {some}; type more of it.")
    close = difflib.get_close_matches(typed, {key[: len(typed)]: key for key in keys[:_COMPARED]}, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ConfigError(f"The store holds no film {typed!r}.{hint} radmill store ls lists them.")


def matching(rows: pa.Table, wanted: Mapping[str, str]) -> list[int]:
    """Indices of the rows whose columns have these values; pseudonyms may be given by how they begin."""
    picked = list(range(len(rows)))
    for column, value in wanted.items():
        values = rows[column].to_pylist()
        if column in _PSEUDONYMS:
            picked = [row for row in picked if str(values[row]).startswith(value)]
        else:
            picked = [row for row in picked if values[row] == value]
    return picked


def check_known(root: Path, films: pa.Table, wanted: Mapping[str, str]) -> None:
    """Raise ConfigError where a column's value is none that a film may have, or no pseudonym of the store."""
    for column, value in wanted.items():
        words = _WORDS.get(column, ())
        if value in words or matching(films, {column: value}):
            continue
        if column in _PSEUDONYMS:
            raise ConfigError(
                f"{root} holds no film of {column} {value!r}, nor of one that begins so; "
                f"radmill store ls store={root} lists them."
            )
        there = sorted({*filter(None, films[column].to_pylist()), *words})
        raise ConfigError(f"{column} must be one of {', '.join(there)}, but is {value}.")


def rows_where(rows: pa.Table, column: str, value: str) -> list[dict[str, Any]]:
    """The rows in which a column has this value."""
    found = (row for row, one in enumerate(rows[column].to_pylist()) if one == value)
    return [rows.slice(row, 1).to_pylist()[0] for row in found]


def segmentation_rows(root: Path, key: str) -> dict[str, dict[str, Any]]:
    """Model id -> the film's row in that segmentation's films, and under `regions` its rows there."""
    read: dict[str, dict[str, Any]] = {}
    for path in sorted((root / "segmentations").glob("[!.]*/films.parquet")):
        for film in rows_where(tables.read_arrow(path), "key", key):
            index = tables.read_arrow(path.with_name("index.parquet"))
            read[path.parent.name] = film | {"regions": rows_where(index, "key", key)}
    return read
