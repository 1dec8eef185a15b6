"""Generations: the three tables of a store, never changed once CURRENT names them.

Beside them lies checksums.json: size and CRC-32C of each table and of every shard that they name, whole tars
with headers and padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from storage import schemas, tables
from storage.atomic import new_folder, remove_folder, write_text
from storage.errors import StorageError
from storage.seal import CHECKSUMS, Sum, as_json, data_sum, file_sum, from_json, read_sealed_json, sealed_json

if TYPE_CHECKING:
    import pandas as pd

# Table -> its schema and the columns that order its rows.
_TABLES: dict[str, tuple[pa.Schema, list[str]]] = {
    "manifest": (schemas.MANIFEST, ["key"]),
    "annotations": (schemas.ANNOTATIONS, ["key", "annotator"]),
    "exclusions": (schemas.EXCLUSIONS, ["token", "frame", "stage", "reason", "detail"]),
}
_SHARDED = ("manifest", "annotations")


def current(root: Path) -> str | None:
    """The live generation's name, None before the first; StorageError where CURRENT is damaged."""
    path = root / "CURRENT"
    if not path.exists():
        return None
    name = path.read_bytes().decode("ascii", "replace").strip()
    if not (name.isdigit() and (root / "generations" / name).is_dir()):
        raise StorageError(f"{path} must name a folder of generations/, but names {name!r}; restore either.")
    return name


def table_paths(root: Path, generation: str) -> dict[str, Path]:
    """Table name -> its file."""
    return {name: root / "generations" / generation / f"{name}.parquet" for name in _TABLES}


def read(root: Path, generation: str, name: str) -> pd.DataFrame:
    """The table manifest, annotations or exclusions."""
    return tables.read_table(table_paths(root, generation)[name], _TABLES[name][0])


def write(
    root: Path, live: str | None, frames: Mapping[str, pd.DataFrame | pa.Table], written: Mapping[str, Sum]
) -> str:
    """Make the generation after `live` and have CURRENT name it; `live` stays where nothing differs.

    written: sums of shards as they were written.
    """
    rows = {name: _ordered(frames[name], name) for name in _TABLES}
    _check(rows["manifest"], rows["annotations"], rows["exclusions"])
    shards = sorted({shard for name in _SHARDED for shard in rows[name]["shard"].unique().to_pylist()})
    missing = [name for name in shards if not (root / "shards" / name).exists()]
    if missing:
        raise StorageError(
            f"{root / 'shards' / missing[0]} is missing ({len(missing)} in all); run ingest again."
        )
    files = {
        f"{name}.parquet": tables.encode_table(rows.pop(name), _TABLES[name][0], name) for name in _TABLES
    }
    files["shards.txt"] = "".join(f"shards/{name}\n" for name in shards).encode()
    files[CHECKSUMS] = _checksums(root, live, files, shards, written)
    if live is not None and _holds(root / "generations" / live, files):
        return live
    generation = f"{int(live or 0) + 1:06d}"
    target = root / "generations" / generation
    remove_folder(target)  # left by a writer that was killed before CURRENT named it
    with new_folder(target) as folder:
        for name, data in files.items():
            (folder / name).write_bytes(data)
    write_text(root / "CURRENT", f"{generation}\n")
    return generation


def _ordered(rows: pd.DataFrame | pa.Table, name: str) -> pa.Table:
    schema, order = _TABLES[name]
    return tables.conform(rows, schema, name).sort_by([(column, "ascending") for column in order])


def checksums(root: Path, generation: str) -> tuple[dict[str, Sum], dict[str, Sum]]:
    """Sums of the generation's files and of its shards, by name.

    Raises StorageError where the list is damaged, FileNotFoundError where the generation has none.
    """
    path = root / "generations" / generation / CHECKSUMS
    content = read_sealed_json(path)
    try:
        return from_json(content["files"]), from_json(content["shards"])
    except (KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is damaged.") from error


def _checksums(
    root: Path,
    live: str | None,
    files: Mapping[str, bytes],
    shards: list[str],
    written: Mapping[str, Sum],
) -> bytes:
    """The list for a generation; a shard's name stands for its bytes, so one that is known is not read again."""
    try:
        _, known = checksums(root, live) if live is not None else ({}, {})
    except (FileNotFoundError, StorageError):
        known = {}
    known = {**known, **written}
    sums = {}
    for name in shards:
        path = root / "shards" / name
        same = name in known and known[name].size == path.stat().st_size
        sums[name] = known[name] if same else file_sum(path)
    of_files = {name: data_sum(data) for name, data in files.items()}
    return sealed_json({"files": as_json(of_files), "shards": as_json(sums)})


def _check(manifest: pa.Table, annotations: pa.Table, exclusions: pa.Table) -> None:
    for name, table, columns in (
        ("manifest", manifest, ["key"]),
        ("annotations", annotations, ["key", "annotator"]),
    ):
        before, after = table.slice(0, max(table.num_rows - 1, 0)), table.slice(1)  # the rows are ordered
        same = reduce(pc.and_, (pc.equal(before[column], after[column]) for column in columns))
        if pc.any(same).as_py():
            raise StorageError(
                f"The {name} must name each {' and '.join(columns)} once, "
                f"but {before.filter(same)['key'][0]} comes twice."
            )
    homeless = annotations.filter(pc.invert(pc.is_in(annotations["key"], manifest["key"])))
    if homeless.num_rows:
        raise StorageError(f"Every mask needs its film, but {homeless['key'][0]} is not in the manifest.")
    check_reasons(exclusions["reason"])


def check_reasons(reasons: pa.ChunkedArray) -> None:
    """Raise StorageError where a reason is not in the vocabulary."""
    unknown = reasons.filter(pc.invert(pc.is_in(reasons, pa.array(schemas.EXCLUSION_REASONS))))
    if len(unknown):
        raise StorageError(
            f"A reason must be one of {', '.join(schemas.EXCLUSION_REASONS)}, but is {unknown[0]}."
        )


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    return all(
        (folder / name).exists() and (folder / name).read_bytes() == data for name, data in files.items()
    )
