"""A store's tables as Arrow, without pandas: a look at a hundred thousand films takes a fraction of a second."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage import generations, tables
from storage.errors import ConfigError, InputError
from storage.manifest import Store


def table(store: Store, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The live manifest, annotations or exclusions."""
    assert store.generation is not None
    return tables.read_arrow(generations.table_paths(store.root, store.generation)[name], columns)


def outcomes(store: Store) -> pa.Table | None:
    """The outcomes, None where none were given."""
    path = store.root / "outcomes.parquet"
    return tables.read_arrow(path) if path.exists() else None


def whole_key(keys: pa.ChunkedArray, typed: str) -> str:
    """The one key that begins as typed; ConfigError, with the nearest keys, where there is none or several."""
    found = keys.filter(pc.starts_with(keys, typed)).to_pylist()
    if typed in found:
        return typed
    if len(found) == 1:
        return str(found[0])
    if found:
        raise ConfigError(
            f"{len(found)} films begin with {typed!r}, such as {', '.join(found[:3])}; type more of it."
        )
    close = difflib.get_close_matches(typed, [str(key)[: len(typed)] for key in keys.to_pylist()[:5000]], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ConfigError(f"The store holds no film {typed!r}.{hint} radmill store ls lists them.")


def matching(rows: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    """The rows whose columns have these values; pseudonyms by how they begin. ConfigError for an unknown column."""
    for column, value in wanted.items():
        if column not in rows.column_names:
            raise InputError(f"A table of the store has no column {column!r}.")
        as_text = pc.cast(rows[column], pa.string())
        rows = rows.filter(
            pc.starts_with(as_text, value) if column in _PREFIXED else pc.equal(as_text, value)
        )
    return rows


def equal(rows: pa.Table, column: str, value: str) -> pa.ChunkedArray:
    """Where a column has this value."""
    return pc.equal(rows[column], value)


_PREFIXED = ("key", "subject", "exam", "token", "device")


def row_of(store: Store, key: str) -> dict[str, Any]:
    """A film's row in the manifest, by its whole key."""
    rows = table(store, "manifest")
    found: dict[str, Any] = rows.filter(pc.equal(rows["key"], key)).to_pylist()[0]
    return found


def segmentation_rows(root: Path, key: str) -> dict[str, dict[str, Any]]:
    """Model id -> the film's row in that segmentation's films, and under `regions` its rows there."""
    read: dict[str, dict[str, Any]] = {}
    for path in sorted((root / "segmentations").glob("*/films.parquet")):
        if path.parent.name.startswith("."):
            continue
        films = tables.read_arrow(path)
        found = films.filter(pc.equal(films["key"], key)).to_pylist()
        if found:
            regions = tables.read_arrow(path.with_name("index.parquet"))
            regions = regions.filter(pc.equal(regions["key"], key))
            read[path.parent.name] = found[0] | {"regions": regions.to_pylist()}
    return read
