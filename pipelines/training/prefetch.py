"""Batches prepared by background threads while the step before is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

P = TypeVar("P")
B = TypeVar("B")


def prefetch(positions: Iterable[P], prepare: Callable[[P], B], workers: int) -> Generator[tuple[P, B]]:
    """Yield (position, prepare(position)) in order; `workers` threads are as many positions ahead.

    An error of `prepare` is raised where its position is due. Closing the generator ends the threads.
    """
    if workers == 0:
        for position in positions:
            yield position, prepare(position)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batch")
    ahead: deque[tuple[P, Future[B]]] = deque()
    try:
        for position in positions:
            ahead.append((position, pool.submit(prepare, position)))
            if len(ahead) > workers:
                due, batch = ahead.popleft()
                yield due, batch.result()
        while ahead:
            due, batch = ahead.popleft()
            yield due, batch.result()
    finally:
        pool.shutdown(cancel_futures=True)
