"""Parquet tables with a fixed schema and reproducible bytes: equal rows give equal files, sealed by a checksum."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from storage.atomic import write_bytes
from storage.errors import StorageError
from storage.seal import BLANK, check_seal, sealed

if TYPE_CHECKING:
    import pandas as pd  # half a second that a look into a store does without

_ROWS_PER_GROUP = 1 << 17


def write_table(path: Path, rows: pd.DataFrame | pa.Table, schema: pa.Schema) -> None:
    """Replace the file by the rows, in their order, cast to the schema; StorageError unless they fit."""
    write_bytes(path, encode_table(rows, schema, path.name))


def encode_table(rows: pd.DataFrame | pa.Table, schema: pa.Schema, name: str) -> bytes:
    """The bytes that `write_table` writes; `name` is for the error message."""
    buffer = io.BytesIO()
    pq.write_table(
        conform(rows, schema, name).combine_chunks().replace_schema_metadata({"seal": BLANK}),
        buffer,
        row_group_size=_ROWS_PER_GROUP,
        compression="zstd",
        compression_level=3,
        version="2.6",
    )
    return sealed(buffer.getvalue())


def read_table(path: Path, schema: pa.Schema | None = None) -> pd.DataFrame:
    """Read a table; with a schema, StorageError unless the file has exactly its columns.

    Missing numbers come as NaN, missing strings as None.
    """
    table = read_arrow(path)
    if schema is not None:
        table = conform(table, schema, str(path))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or some columns of it; StorageError where its bytes do not match their checksum."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StorageError(f"{path} is missing.") from None
    try:
        check_seal(path, data)
        # not pq.read_table, which imports pandas and a file system first
        file = pq.ParquetFile(pa.BufferReader(data))
        return file.read(None if columns is None else list(columns)).replace_schema_metadata()
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path} is not a whole Parquet file: {error}") from error


def empty(schema: pa.Schema) -> pd.DataFrame:
    """A table without rows."""
    frame: pd.DataFrame = schema.empty_table().to_pandas()
    return frame


def conform(rows: pd.DataFrame | pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """Cast rows to the schema, columns in its order; StorageError naming the columns that do not fit."""
    columns = rows.column_names if isinstance(rows, pa.Table) else list(rows.columns)
    missing = [column for column in schema.names if column not in columns]
    unknown = [str(column) for column in columns if column not in schema.names]
    if missing or unknown:
        raise StorageError(
            f"{name} must have the columns {', '.join(schema.names)}, "
            f"but lacks {', '.join(missing) or 'none'} and has besides {', '.join(unknown) or 'none'}."
        )
    try:
        if not isinstance(rows, pa.Table):
            rows = pa.Table.from_pandas(rows, schema=schema, preserve_index=False, nthreads=1)
        # The cast drops pandas' own metadata: it names versions, so an update would change the bytes.
        return rows.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise StorageError(f"A column of {name} does not fit its type: {error}") from error
