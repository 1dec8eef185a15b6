"""Round trip is identity, the same pixels give the same bytes, gaps and flipped bits never read as zeros."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from storage.arrays import create_array, open_array, writing_group
from storage.errors import StorageError

RNG = np.random.default_rng(0)
VALUES: dict[str, NDArray[Any]] = {
    "label_map": RNG.integers(0, 8, (10, 33, 17), dtype=np.uint8),
    "entropy": RNG.random((10, 33, 17)).astype(np.float16),
    "weights": RNG.random((10, 4)).astype(np.float32),
    "zeros": np.zeros((10, 5), np.uint16),
}
ROWS = RNG.integers(0, 99, (20, 5), dtype=np.uint16) * (np.arange(20, dtype=np.uint16)[:, None] % 3 > 0)


def write(path: Path, rows_at_once: int = 4) -> None:
    with writing_group(path) as group:
        for name, values in VALUES.items():
            chunks = (4, *values.shape[1:])
            array = create_array(
                group, name, values.shape, chunks, values.dtype, {"axes": "N..", "row": "film"}
            )
            for start in range(0, len(values), rows_at_once):
                array[start : start + rows_at_once] = values[start : start + rows_at_once]


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", VALUES)
def test_round_trip(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.zarr")
    array = open_array(tmp_path / "a.zarr", name)
    assert array.dtype == VALUES[name].dtype
    assert array.attrs["row"] == "film"
    np.testing.assert_array_equal(array[:], VALUES[name])
    np.testing.assert_array_equal(array[3:6], VALUES[name][3:6])


def test_any_zarr_reader_sees_a_v3_group(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert group.metadata.zarr_format == 3
    assert sorted(group.array_keys()) == sorted(VALUES)


def test_the_same_pixels_give_the_same_bytes_from_any_thread(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    thread = threading.Thread(target=write, args=(tmp_path / "b.zarr", 8))
    thread.start()
    thread.join()
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


def test_an_exception_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), writing_group(tmp_path / "a.zarr") as group:
        create_array(group, "x", (4,), (2,), "u1", {})
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_array(tmp_path: Path) -> None:
    with writing_group(tmp_path / "a.zarr") as group:
        create_array(group, "x", (0, 8), (16, 8), "f4", {})
    empty: NDArray[np.float32] = open_array(tmp_path / "a.zarr", "x")[:]
    assert empty.shape == (0, 8)


def test_a_missing_chunk_is_an_error_not_zeros(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "zeros" / "c" / "1" / "0").unlink()
    with pytest.raises(
        StorageError, match=r"zeros lacks 1 of 3 chunks; remove the folder to have it rebuilt\."
    ):
        open_array(tmp_path / "a.zarr", "zeros")


def test_a_missing_array_is_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.zarr", tmp_path / "a.zarr"):
        if path.name == "a.zarr":
            write(path)
        with pytest.raises(
            StorageError, match=r"has no whole array x; remove the folder to have it rebuilt\."
        ):
            open_array(path, "x")


def test_a_flipped_bit_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr" / "label_map" / "c" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(StorageError, match=r"label_map is damaged: .*checksum.* to have it rebuilt\.$"):
        open_array(tmp_path / "a.zarr", "label_map")[:]


def test_any_flipped_bit_of_an_arrays_description_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    path = tmp_path / "a.zarr" / "label_map" / "zarr.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StorageError, match=r"a\.zarr has no whole array label_map; remove the folder"):
            open_array(tmp_path / "a.zarr", "label_map")


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """20 rows, 2 per chunk, 8 per Zarr shard; some rows are zeros indeed."""
    with writing_group(tmp_path / "s.zarr") as group:
        array = create_array(group, "x", ROWS.shape, (2, 5), ROWS.dtype, {}, shards=(8, 5))
        for start in range(0, len(ROWS), 8):
            array[start : start + 8] = ROWS[start : start + 8]
    return tmp_path / "s.zarr"


def test_shards_hold_chunks_and_round_trip(sharded: Path) -> None:
    assert len(list((sharded / "x" / "c").rglob("*/0"))) == 3
    array = open_array(sharded, "x")
    np.testing.assert_array_equal(array[:], ROWS)
    np.testing.assert_array_equal(array[7:9], ROWS[7:9])


@pytest.mark.parametrize("shard", range(3))
def test_a_shard_that_goes_before_or_after_opening_is_an_error_not_zeros(sharded: Path, shard: int) -> None:
    array = open_array(sharded, "x")
    (sharded / "x" / "c" / str(shard) / "0").unlink()
    with pytest.raises(
        StorageError, match=rf"c/{shard}/0 is missing; remove .*s\.zarr to have it rebuilt\.$"
    ):
        array[:]
    with pytest.raises(StorageError, match=r"x lacks 1 of 3 chunks"):
        open_array(sharded, "x")


def test_a_chunk_that_goes_after_opening_is_an_error_not_zeros(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    array = open_array(tmp_path / "a.zarr", "label_map")
    (tmp_path / "a.zarr" / "label_map" / "c" / "1" / "0" / "0").unlink()
    np.testing.assert_array_equal(array[:4], VALUES["label_map"][:4])
    with pytest.raises(StorageError, match=r"label_map/c/1/0/0 is missing"):
        array[3:6]


def test_any_flipped_bit_of_a_shard_is_an_error_or_does_no_harm(sharded: Path) -> None:
    path = sharded / "x" / "c" / "1" / "0"
    whole = path.read_bytes()
    raised = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            np.testing.assert_array_equal(open_array(sharded, "x")[:], ROWS)
        except StorageError:
            raised += 1
    assert raised > len(whole) // 14
