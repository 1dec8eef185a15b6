"""Equal rows give equal bytes; every schema makes the round trip; wrong columns and types are sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import schemas
from storage.errors import StorageError
from storage.tables import empty, read_table, write_table

SCHEMAS = {name: value for name, value in vars(schemas).items() if isinstance(value, pa.Schema)}
ROWS = pd.DataFrame({"subject": ["a", None], "fold": [0, 1], "split": ["train", "test"]})


@pytest.mark.parametrize("name", SCHEMAS)
def test_empty_tables_keep_their_columns(tmp_path: Path, name: str) -> None:
    rows = empty(SCHEMAS[name])
    assert list(rows.columns) == SCHEMAS[name].names
    write_table(tmp_path / "x.parquet", rows, SCHEMAS[name])
    pd.testing.assert_frame_equal(read_table(tmp_path / "x.parquet", SCHEMAS[name]), rows)


def test_bytes_depend_on_rows_alone(tmp_path: Path) -> None:
    many = pd.concat([ROWS.assign(subject=str(i)) for i in range(3000)], ignore_index=True)
    odd = many[["split", "fold", "subject"]].set_index(many["subject"]).astype({"fold": "float64"})
    arrow = pa.Table.from_pandas(many)
    for name, rows in (("a", many), ("b", odd), ("c", pa.concat_tables([arrow[:700], arrow[700:]]))):
        write_table(tmp_path / name, rows, schemas.SPLITS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()
    stored = pq.read_schema(tmp_path / "b")
    assert stored.equals(schemas.SPLITS) and set(stored.metadata) == {b"seal"}


def test_missing_values(tmp_path: Path) -> None:
    schema = pa.schema({"i": pa.int32(), "f": pa.float32(), "s": pa.string(), "l": pa.list_(pa.float32())})
    rows = pd.DataFrame(
        {"i": [1, np.nan], "f": [np.nan, 2.5], "s": [None, "x"], "l": [np.array([0.5, np.nan]), np.array([])]}
    )
    write_table(tmp_path / "seed=1" / "x", rows, schema)
    back = read_table(tmp_path / "seed=1" / "x", schema)
    assert list(back.columns) == ["i", "f", "s", "l"]
    np.testing.assert_array_equal(back["i"], [1, np.nan])
    np.testing.assert_array_equal(back["f"], [np.nan, 2.5])
    assert list(back["s"]) == [None, "x"]
    np.testing.assert_array_equal(back["l"][0], [0.5, np.nan])


def test_wrong_columns_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        write_table(tmp_path / "x.parquet", ROWS.rename(columns={"fold": "part"}), schemas.SPLITS)
    assert str(caught.value) == (
        "x.parquet must have the columns subject, fold, split, but lacks fold and has besides part."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fold", [["a", "b"], [0.5, 1.5], [1 << 40, 0]])
def test_wrong_types_are_a_sentence(tmp_path: Path, fold: Any) -> None:
    with pytest.raises(StorageError, match=r"^A column of x\.parquet does not fit its type: .*fold"):
        write_table(tmp_path / "x.parquet", ROWS.assign(fold=fold), schemas.SPLITS)


def test_damage_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"x\.parquet is missing\.$"):
        read_table(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(StorageError, match=r"x\.parquet is not a whole Parquet file"):
        read_table(tmp_path / "x.parquet")
