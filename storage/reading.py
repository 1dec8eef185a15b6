"""Batches in the sampler's order: each film by one pread from its shard, decoded by threads that read ahead.

The samples of a step depend on its position alone: neither on ranks nor on workers, so a run may go on with
other numbers of both, and with another batch, from the position that a checkpoint holds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from storage.errors import check_one_of
from storage.manifest import Store
from storage.prefetch import prefetch
from storage.radiograph import Pixels
from storage.sampler import SampleOrder, SamplerState

S = TypeVar("S")

SHUFFLES = ("full", "block")


@dataclass(frozen=True, slots=True)
class Batch(Generic[S]):
    """One rank's part of a step. weights: B, 0 for filling; after: the position of the next step."""

    samples: list[S]
    weights: NDArray[np.float32]
    after: SamplerState


@dataclass(frozen=True, slots=True)
class StoredFilm:
    """A film as it was read: pixels HxW."""

    key: str
    pixels: Pixels


class Reader(Generic[S]):
    """Samples 0 ... N-1 behind a function, in batches."""

    def __init__(self, order: SampleOrder, read: Callable[[int], S]) -> None:
        """read: makes sample i, from any thread."""
        self.order = order
        self.read = read

    def batches(
        self, state: SamplerState, batch: int, rank: int = 0, world_size: int = 1, workers: int = 2
    ) -> Generator[Batch[S]]:
        """What is left of the state's epoch; `batch` samples per rank and step, `workers` of them read ahead.

        Raises InputError for a state of other data. Close the generator where it is not read to its end.
        """
        self.order.check(state)

        def wanted() -> Iterator[int]:
            for indices, _, _ in steps(self.order, state, batch, rank, world_size):
                yield from indices.tolist()

        with closing(prefetch(wanted(), self.read, workers)) as samples:
            for indices, weights, after in steps(self.order, state, batch, rank, world_size):
                yield Batch([next(samples)[1] for _ in indices], weights, after)


def steps(
    order: SampleOrder, state: SamplerState, batch: int, rank: int, world_size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], SamplerState]]:
    """One rank's indices and weights at each step left in the state's epoch, and the position after it."""
    epoch, global_batch = state.epoch, batch * world_size
    while state.epoch == epoch:
        indices, weights = order.batch(epoch, state.samples_done, global_batch, rank, world_size)
        state = order.advance(state, global_batch)
        yield indices, weights, state


def film_reader(store: Store, seed: int, shuffle: str = "full", window: int = 8) -> Reader[StoredFilm]:
    """All films of the store's generation; every read is checked against the manifest.

    shuffle: full, or block for cold disks, where the films of `window` shards are shuffled together.
    """
    check_one_of("shuffle", shuffle, SHUFFLES)
    keys = store.manifest["key"].tolist()
    blocks = store.manifest["shard"].tolist() if shuffle == "block" else None
    order = SampleOrder(len(keys), seed, store.generation or "", blocks, window)
    return Reader(order, lambda index: StoredFilm(keys[index], store.read_image(keys[index])))
