"""Prefetching keeps the order and its distance, raises in place and leaves no thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from threading import enumerate as threads

import pytest

from storage.prefetch import prefetch


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_prefetch_keeps_the_order_and_its_distance(workers: int) -> None:
    asked = 0

    def positions() -> Iterator[int]:
        nonlocal asked
        for number in range(1, 21):
            asked = number
            yield number

    for position, batch in prefetch(positions(), lambda number: number * number, workers):
        assert batch == position * position
        assert asked <= position + workers
    assert asked == 20


def test_prefetch_raises_where_the_batch_is_due_and_ends_its_threads() -> None:
    with closing(prefetch(iter([1, 2, 0, 3]), lambda number: 6 // number, 2)) as batches:
        assert [next(batches), next(batches)] == [(1, 6), (2, 3)]
        with pytest.raises(ZeroDivisionError):
            next(batches)
    with closing(prefetch(iter(range(1, 100)), lambda number: number, 2)) as batches:
        next(batches)
    assert not [thread for thread in threads() if thread.name.startswith("batch")]


def test_more_may_wait_than_there_are_threads() -> None:
    asked: list[int] = []

    def positions() -> Iterator[int]:
        for number in range(20):
            asked.append(number)
            yield number

    with closing(prefetch(positions(), lambda number: number, 1, ahead=5)) as batches:
        assert next(batches) == (0, 0)
        assert asked == list(range(6))
