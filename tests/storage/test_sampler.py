"""Every sample exactly once per epoch and equal steps on all ranks, through any change of ranks and batch."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import InputError
from storage.sampler import SampleOrder, SamplerState, block_permutation, permutation

WORLD_SIZES = st.integers(1, 9)
BATCHES = st.integers(1, 7)  # of one rank


def step(order: SampleOrder, state: SamplerState, global_batch: int, world_size: int) -> list[int]:
    """What all ranks see at a step, after checking that their parts are equally long."""
    parts = [
        order.batch(state.epoch, state.samples_done, global_batch, rank, world_size)
        for rank in range(world_size)
    ]
    length = -(-global_batch // world_size)
    assert {(len(indices), len(weights)) for indices, weights in parts} == {(length, length)}
    for indices, weights in parts:
        assert indices.dtype == np.int64 and weights.dtype == np.float32
        assert set(weights.tolist()) <= {0.0, 1.0}
        assert ((indices >= 0) & (indices < order.num_samples)).all()
    loads = [int(weights.sum()) for _, weights in parts]
    assert max(loads) - min(loads) <= 1
    return [int(i) for indices, weights in parts for i in indices[weights == 1]]


@settings(deadline=None)
@given(
    num_samples=st.integers(1, 200),
    seed=st.integers(0, 2**32),
    phases=st.lists(st.tuples(WORLD_SIZES, BATCHES, st.integers(1, 12)), min_size=1, max_size=4),
)
def test_every_sample_once_per_epoch_through_stops_and_changes(
    num_samples: int, seed: int, phases: list[tuple[int, int, int]]
) -> None:
    seen: dict[int, list[int]] = {}
    state = SampleOrder(num_samples, seed, "000001").start()
    last = phases[-1]
    while state.epoch < 2:
        world_size, batch, steps = phases.pop(0) if phases else last
        order = SampleOrder(num_samples, seed, "000001")  # a stop: a new process with the saved state
        state = SamplerState.from_dict(json.loads(json.dumps(state.to_dict())))
        order.check(state)
        for _ in range(steps):
            seen.setdefault(state.epoch, []).extend(step(order, state, batch * world_size, world_size))
            state = order.advance(state, batch * world_size)
    for epoch in (0, 1):
        assert sorted(seen[epoch]) == list(range(num_samples))


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(1, 40), WORLD_SIZES)
def test_a_global_batch_that_ranks_do_not_divide(
    num_samples: int, global_batch: int, world_size: int
) -> None:
    order = SampleOrder(num_samples, 7)
    state, seen = order.start(), []
    while state.epoch == 0:
        seen += step(order, state, global_batch, world_size)
        state = order.advance(state, global_batch)
    assert sorted(seen) == list(range(num_samples))


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(1, 40), WORLD_SIZES, st.integers(0, 3))
def test_the_samples_of_a_step_do_not_depend_on_the_ranks(
    num_samples: int, global_batch: int, world_size: int, epoch: int
) -> None:
    order = SampleOrder(num_samples, 7)
    state = SamplerState(7, epoch)
    while state.epoch == epoch:
        stretch = permutation(num_samples, epoch, 7)[state.samples_done :][:global_batch]
        assert sorted(step(order, state, global_batch, world_size)) == sorted(stretch.tolist())
        state = order.advance(state, global_batch)
    assert state == SamplerState(7, epoch + 1)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=120),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 99),
)
def test_block_shuffle_goes_window_by_window(names: list[int], window: int, epoch: int, seed: int) -> None:
    blocks = np.unique(names, return_inverse=True)[1]
    order = block_permutation(blocks, window, epoch, seed)
    assert sorted(order.tolist()) == list(range(len(names)))
    np.testing.assert_array_equal(order, block_permutation(blocks, window, epoch, seed))
    left, seen = dict(enumerate(np.bincount(blocks).tolist())), set()
    for block in blocks[order].tolist():  # no more than a window of blocks is ever begun and not finished
        seen.add(block)
        left[block] -= 1
        assert len({name for name in seen if left[name]}) <= window


def test_a_window_of_blocks_is_shuffled_and_other_epochs_group_others() -> None:
    blocks = np.repeat(np.arange(6), 50)
    orders = [block_permutation(blocks, 2, epoch, 0) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    first = blocks[orders[0]][:100]
    assert len(set(first)) == 2 and (np.diff(first) != 0).sum() > 20
    assert len({frozenset(blocks[order][:100]) for order in orders}) > 1


def test_epochs_and_seeds_differ_and_repeat() -> None:
    orders = [tuple(permutation(50, epoch, seed)) for epoch in (0, 1) for seed in (0, 1)]
    assert len(set(orders)) == 4
    np.testing.assert_array_equal(permutation(50, 1, 0), permutation(50, 1, 0))


def test_one_rank_sees_the_permutation_itself_and_the_tail_repeats_a_real_sample() -> None:
    indices, weights = SampleOrder(5, 3).batch(epoch=0, samples_done=3, global_batch=4, rank=0, world_size=1)
    order = permutation(5, 0, 3)
    np.testing.assert_array_equal(indices, [order[3], order[4], order[3], order[3]])
    np.testing.assert_array_equal(weights, [1, 1, 0, 0])


FULL = "10 samples, full shuffle"


@pytest.mark.parametrize(
    "state",
    [
        SamplerState(1, 0, 4, "000001", FULL),
        SamplerState(0, 0, 4, "000002", FULL),
        SamplerState(0, 0, 10, "000001", FULL),
        SamplerState(0, 0, 4, "000001"),
        SampleOrder(11, 0, "000001").start(),
        SampleOrder(10, 0, "000001", [0] * 10).start(),
    ],
)
def test_a_state_of_other_data_is_refused(state: SamplerState) -> None:
    order = SampleOrder(10, 0, "000001")
    order.check(SamplerState(0, 5, 9, "000001", FULL))
    with pytest.raises(InputError) as caught:
        order.check(state)
    assert str(caught.value) == (
        f"The checkpoint stands at sample {state.samples_done} with seed {state.seed}, generation "
        f"'{state.generation}' and the order '{state.order}', but this run has seed 0, generation '000001' and "
        f"the order '{FULL}'; start over with fresh=true, or choose another out=."
    )


def test_a_state_of_other_blocks_or_another_window_is_refused() -> None:
    blocks = np.arange(12) // 3
    state = SampleOrder(12, 0, "", blocks, 2).start()
    SampleOrder(12, 0, "", [f"shard{block}" for block in blocks], 2).check(state)
    for other in (SampleOrder(12, 0, "", blocks, 3), SampleOrder(12, 0, "", np.arange(12) // 4, 2)):
        with pytest.raises(InputError, match="start over with fresh=true"):
            other.check(state)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match=re.escape("Training needs at least 1 sample, but there are none.")):
        SampleOrder(0, 0)
