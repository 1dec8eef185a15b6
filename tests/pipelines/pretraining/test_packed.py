"""Packed crops are those of the cache, without being in memory."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.pretraining.crops import open_crops
from pipelines.pretraining.packed import PackedRows, pack
from pipelines.segmentation.stored import Segmentation
from storage.errors import StorageError


def test_rows_are_those_of_the_cache(
    make_segmentation: Callable[[int], Segmentation], tmp_path: Path
) -> None:
    crops = open_crops(tmp_path / "store", make_segmentation(5), 32)
    chosen = np.array([0, 2, 3, 7, 8])
    pack(crops, chosen, tmp_path / "packed")
    image, mask = crops.load(chosen)
    images, masks = (PackedRows(tmp_path / "packed", plane, 32) for plane in ("image", "mask"))
    assert len(images) == len(masks) == 5
    some = np.array([4, 0, 0, 3])
    assert np.array_equal(images[some], image[some]) and np.array_equal(masks[some], mask[some])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: images[np.array([row])][0], [0, 1, 2, 3, 4] * 20))
    assert np.array_equal(found, np.tile(image, (20, 1, 1)))
    with pytest.raises(IndexError):
        images[np.array([5])]


def test_a_file_cut_short_is_told(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(bytes(2 * 2 * 32 * 32))
    rows = PackedRows(tmp_path / "packed", "mask", 32)
    os.truncate(tmp_path / "packed", 3 * 32 * 32)
    with pytest.raises(StorageError, match="is cut short"):
        rows[np.array([1])]
    os.truncate(tmp_path / "packed", 100)
    with pytest.raises(StorageError, match="is cut short"):
        PackedRows(tmp_path / "packed", "image", 32)


def test_what_is_read_does_not_stay_in_memory(tmp_path: Path) -> None:
    side, num_rows = 128, 6000
    with (tmp_path / "packed").open("wb") as file:
        file.truncate(num_rows * 2 * side * side)  # 190 MB
    rows = PackedRows(tmp_path / "packed", "image", side)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(0, num_rows, 50):
        assert not rows[np.arange(start, start + 50)].any()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 30_000
