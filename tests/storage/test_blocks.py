"""Rows by blocks: each once per epoch and right, through any change of ranks, workers and batch, in bounded memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.arrays import create_array, writing_group
from storage.blocks import RowReader
from storage.errors import StorageError
from storage.sampler import SamplerState

NUM_ROWS = 75
IMAGES = np.arange(NUM_ROWS * 6, dtype=np.uint16).reshape(NUM_ROWS, 2, 3)
SETUPS = st.tuples(st.integers(1, 9), st.integers(0, 4), st.integers(1, 7))


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blocks") / "crops.zarr"
    with writing_group(path) as folder:
        for name, values in (("image", IMAGES), ("row", np.arange(NUM_ROWS, dtype=np.int32))):
            shape = values.shape
            array = create_array(folder, name, shape, (4, *shape[1:]), values.dtype, {}, (16, *shape[1:]))
            array[:] = values
    return path


def reader(path: Path, seed: int = 0) -> RowReader:
    return RowReader(path, ["image", "row"], seed, "000001", block=8, window=3)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=SETUPS, second=SETUPS, stop=st.integers(1, 10), seed=st.integers(0, 99))
def test_every_row_once_through_a_stop_and_a_change_of_all_three(
    group: Path, first: tuple[int, int, int], second: tuple[int, int, int], stop: int, seed: int
) -> None:
    state, seen = reader(group, seed).order.start(), []
    for (world_size, workers, batch), limit in ((first, stop), (second, None)):
        if state.epoch:
            break
        ends = set()
        for rank in range(world_size):
            batches = reader(group, seed).batches(state, batch, rank, world_size, workers)
            after, count = state, 0
            for part in batches:
                for (image, row), weight in zip(part.samples, part.weights, strict=True):
                    np.testing.assert_array_equal(image, IMAGES[row])
                    seen += [int(row)] if weight else []
                after, count = part.after, count + 1
                if count == limit:
                    break
            batches.close()
            ends.add((after, count))
        [(state, _)] = ends
        state = SamplerState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert sorted(seen) == list(range(NUM_ROWS))
    assert (state.epoch, state.samples_done) == (1, 0)


def test_neighbours_are_read_together_and_let_go(group: Path) -> None:
    rows = reader(group)
    read: list[int] = []
    original = rows._read
    rows._read = lambda block: (read.append(block), original(block))[1]  # type: ignore[method-assign, func-returns-value]
    seen = [int(row) for part in rows.batches(rows.order.start(), 5, workers=0) for _, row in part.samples]
    assert sorted(read) == list(range(-(-NUM_ROWS // 8)))  # each block once
    assert seen[:NUM_ROWS] != sorted(seen[:NUM_ROWS])
    assert len({row // 8 for row in seen[:15]}) <= 3


def test_a_chunk_that_goes_away_is_an_error_not_zeros(group: Path) -> None:
    path = group / "image" / "c" / "2" / "0" / "0"
    data, rows = path.read_bytes(), reader(group)
    path.unlink()
    try:
        with pytest.raises(StorageError, match="c/2/0/0 is missing"):
            list(rows.batches(rows.order.start(), 5))
    finally:
        path.write_bytes(data)
