"""Samples and batches prepared by background threads while those before are used.

Threads, not processes: the decoders let go of the interpreter's lock, and a film that never leaves the process
need not be copied into another, which costs more than a third of the films per second at 16 bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

P = TypeVar("P")
B = TypeVar("B")


def prefetch(
    positions: Iterable[P], prepare: Callable[[P], B], workers: int, ahead: int | None = None
) -> Generator[tuple[P, B]]:
    """Yield (position, prepare(position)) in order; `workers` threads are up to `ahead` positions ahead.

    An error of `prepare` is raised where its position is due. Closing the generator ends the threads.
    ahead: as many as there are workers, where it is not given; it bounds the memory.
    """
    if workers == 0:
        for position in positions:
            yield position, prepare(position)
        return
    distance = workers if ahead is None else ahead
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batch")
    waiting: deque[tuple[P, Future[B]]] = deque()
    try:
        for position in positions:
            waiting.append((position, pool.submit(prepare, position)))
            if len(waiting) > distance:
                due, batch = waiting.popleft()
                yield due, batch.result()
        while waiting:
            due, batch = waiting.popleft()
            yield due, batch.result()
    finally:
        pool.shutdown(cancel_futures=True)
