"""Through any change of ranks, workers and batch every sample comes once per epoch, right and checked."""

from __future__ import annotations

import json
import re
from contextlib import closing
from threading import enumerate as threads

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import ConfigError, InputError, StorageError
from storage.manifest import Store
from storage.reading import Reader, film_reader
from storage.sampler import SampleOrder, SamplerState

WORLD_SIZES, WORKERS, BATCHES = st.integers(1, 9), st.integers(0, 4), st.integers(1, 7)
SETUPS = st.tuples(WORLD_SIZES, WORKERS, BATCHES)


def shuffled(num_samples: int, seed: int, per_block: int) -> SampleOrder:
    """A new process' order: full, or by blocks of per_block."""
    blocks = np.arange(num_samples) // per_block if per_block else None
    return SampleOrder(num_samples, seed, "000001", blocks, window=3)


def epoch_of(
    order: SampleOrder, state: SamplerState, setup: tuple[int, int, int], stop: int | None
) -> tuple[list[int], SamplerState]:
    """What all ranks see until they stop, after checking that they take equal steps; and where they stand."""
    world_size, workers, batch = setup
    seen: list[int] = []
    ends = set()
    for rank in range(world_size):
        reader, count, after = Reader(order, lambda index: index), 0, state
        with closing(reader.batches(state, batch, rank, world_size, workers)) as batches:
            for part in batches:
                assert len(part.samples) == len(part.weights) == batch
                seen += [sample for sample, weight in zip(part.samples, part.weights, strict=True) if weight]
                count, after = count + 1, part.after
                if count == stop:
                    break
        ends.add((count, after))
    [(_, after)] = ends
    return seen, after


@settings(deadline=None, max_examples=60)
@given(
    num_samples=st.integers(1, 90),
    seed=st.integers(0, 2**32),
    per_block=st.sampled_from([0, 1, 4, 16]),
    first=SETUPS,
    second=SETUPS,
    stop=st.integers(1, 12),
)
def test_every_sample_once_through_a_stop_and_a_change_of_all_three(
    num_samples: int,
    seed: int,
    per_block: int,
    first: tuple[int, int, int],
    second: tuple[int, int, int],
    stop: int,
) -> None:
    order = shuffled(num_samples, seed, per_block)
    seen, state = epoch_of(order, order.start(), first, stop)
    saved = json.dumps(state.to_dict())
    assert len(state.to_dict()) == 5
    state = SamplerState.from_dict(json.loads(saved))
    if state.epoch == 0:
        rest, state = epoch_of(shuffled(num_samples, seed, per_block), state, second, None)
        seen += rest
    assert sorted(seen) == list(range(num_samples))
    assert (state.epoch, state.samples_done) == (1, 0)


@pytest.mark.parametrize("shuffle", ["full", "block"])
@pytest.mark.parametrize("workers", [0, 2])
def test_films_come_right_and_once(ten_films: Store, shuffle: str, workers: int) -> None:
    reader = film_reader(ten_films, 5, shuffle, window=1)
    seen = []
    for batch in reader.batches(reader.order.start(), 4, workers=workers):
        for stored, weight in zip(batch.samples, batch.weights, strict=True):
            np.testing.assert_array_equal(stored.pixels, ten_films.read_image(stored.key))
            seen += [stored.key] if weight else []
    assert sorted(seen) == [f"k{key}" for key in range(10)]
    assert seen != sorted(seen)
    if shuffle == "block":
        shards = ten_films.manifest.set_index("key")["shard"].loc[seen]
        assert (shards != shards.shift()).sum() == 3


def test_damage_is_raised_in_its_batch_and_names_the_file(ten_films: Store) -> None:
    row = ten_films.manifest.iloc[3]
    path = ten_films.root / "shards" / row["shard"]
    data = bytearray(path.read_bytes())
    data[row["offset"] + row["size"] // 2] ^= 1
    path.write_bytes(data)
    reader = film_reader(ten_films, 5)
    with pytest.raises(StorageError, match=rf"^{re.escape(str(path))} is damaged"):
        list(reader.batches(reader.order.start(), 1))
    assert not [thread for thread in threads() if thread.name.startswith("batch")]


def test_another_shuffle_or_generation_is_a_sentence(ten_films: Store) -> None:
    with pytest.raises(ConfigError, match=r"^shuffle must be one of full, block, but is none\.$"):
        film_reader(ten_films, 5, "none")
    reader = film_reader(ten_films, 5)
    with pytest.raises(InputError, match="start over with fresh=true"):
        list(reader.batches(SamplerState(5, generation="000009"), 1))
