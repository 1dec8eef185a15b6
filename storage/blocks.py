"""Rows of Zarr caches in batches: read in blocks of neighbours, shuffled by windows of blocks.

One row at a time costs a whole chunk each; a block of 64 costs its few chunks once. A block is read when its first
row is due and let go after its last, so no more than a window of them, and the next, is in memory.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.arrays import open_array
from storage.errors import StorageError
from storage.prefetch import prefetch
from storage.reading import Batch, steps
from storage.sampler import SampleOrder, SamplerState

Rows = tuple[NDArray[Any], ...]


class RowReader:
    """The rows of arrays of one group, equally long, in batches by block shuffle."""

    def __init__(
        self, path: Path, names: Sequence[str], seed: int, generation: str, block: int = 64, window: int = 16
    ) -> None:
        """generation: of what the rows are; block: rows read at once; window: blocks shuffled together."""
        self._arrays = [open_array(path, name) for name in names]
        lengths = {array.shape[0] for array in self._arrays}
        if len(lengths) != 1:
            raise StorageError(
                f"The arrays {', '.join(names)} of {path} must be equally long; remove the folder."
            )
        [length] = lengths
        self._block, self._window = block, window
        self.order = SampleOrder(length, seed, generation, np.arange(length) // block, window)

    def batches(
        self, state: SamplerState, batch: int, rank: int = 0, world_size: int = 1, workers: int = 2
    ) -> Generator[Batch[Rows]]:
        """What is left of the state's epoch; a sample is its row of each array. As `Reader.batches`."""
        self.order.check(state)
        parts = list(steps(self.order, state, batch, rank, world_size))
        of_step = [indices // self._block for indices, _, _ in parts]
        blocks, firsts = np.unique(np.concatenate(of_step), return_index=True)
        last = {int(block): step for step, needed in enumerate(of_step) for block in needed}
        wanted = blocks[np.argsort(firsts)].tolist()
        held: dict[int, Rows] = {}
        with closing(prefetch(wanted, self._read, workers, ahead=self._window)) as read:
            for step, (indices, weights, after) in enumerate(parts):
                while not all(int(block) in held for block in of_step[step]):
                    number, rows = next(read)
                    held[number] = rows
                yield Batch([self._row(held, index) for index in indices.tolist()], weights, after)
                for block in {int(block) for block in of_step[step] if last[int(block)] == step}:
                    del held[block]

    def _read(self, block: int) -> Rows:
        start = block * self._block
        return tuple(array[start : start + self._block] for array in self._arrays)

    def _row(self, held: dict[int, Rows], index: int) -> Rows:
        block, inner = divmod(index, self._block)
        return tuple(rows[inner] for rows in held[block])
