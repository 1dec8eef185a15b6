"""Parquet tables with a fixed schema and reproducible bytes: equal rows give equal files."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from storage.atomic import write_bytes
from storage.errors import StorageError

_ROWS_PER_GROUP = 1 << 17


def write_table(path: Path, rows: pd.DataFrame | pa.Table, schema: pa.Schema) -> None:
    """Replace the file by the rows, in their order, cast to the schema; StorageError unless they fit."""
    write_bytes(path, encode_table(rows, schema, path.name))


def encode_table(rows: pd.DataFrame | pa.Table, schema: pa.Schema, name: str) -> bytes:
    """The bytes that `write_table` writes; `name` is for the error message."""
    buffer = io.BytesIO()
    pq.write_table(
        conform(rows, schema, name).combine_chunks(),
        buffer,
        row_group_size=_ROWS_PER_GROUP,
        compression="zstd",
        compression_level=3,
        version="2.6",
    )
    return buffer.getvalue()


def read_table(path: Path, schema: pa.Schema | None = None) -> pd.DataFrame:
    """Read a table; with a schema, StorageError unless the file has exactly its columns.

    Missing numbers come as NaN, missing strings as None.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise StorageError(f"{path} is missing.") from None
    except pa.ArrowInvalid as error:
        raise StorageError(f"{path} is not a whole Parquet file: {error}") from error
    if schema is not None:
        table = conform(table, schema, str(path))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def empty(schema: pa.Schema) -> pd.DataFrame:
    """A table without rows."""
    frame: pd.DataFrame = schema.empty_table().to_pandas()
    return frame


def conform(rows: pd.DataFrame | pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """Cast rows to the schema, columns in its order; StorageError naming the columns that do not fit."""
    columns = list(rows.columns) if isinstance(rows, pd.DataFrame) else rows.column_names
    missing = [column for column in schema.names if column not in columns]
    unknown = [str(column) for column in columns if column not in schema.names]
    if missing or unknown:
        raise StorageError(
            f"{name} must have the columns {', '.join(schema.names)}, "
            f"but lacks {', '.join(missing) or 'none'} and has besides {', '.join(unknown) or 'none'}."
        )
    try:
        if isinstance(rows, pd.DataFrame):
            rows = pa.Table.from_pandas(rows, schema=schema, preserve_index=False, nthreads=1)
        # The cast drops pandas' own metadata: it names versions, so an update would change the bytes.
        return rows.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise StorageError(f"A column of {name} does not fit its type: {error}") from error
