"""Which samples each rank sees at each step: every sample once per epoch, for any ranks and batch.

An epoch is a seeded permutation of the samples. A global batch is its next stretch, dealt out to the ranks in
turn; where it does not divide, or at the epoch's end, ranks are filled up with samples of weight 0. So all
ranks take equally many steps of equal lengths, and the position is one number, `samples_done`, that outlives
a change of ranks, loader workers and batch.

For disks where reading here and there is slow the permutation goes by blocks, such as shards: the blocks in
random order, and the samples of a window of blocks shuffled together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from storage.errors import InputError


@dataclass(frozen=True, slots=True)
class SamplerState:
    """Where training stands in its data."""

    seed: int
    epoch: int = 0
    samples_done: int = 0  # in this epoch, over all ranks
    generation: str = ""  # of the store
    order: str = ""  # how many samples, and how they are shuffled

    def to_dict(self) -> dict[str, int | str]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, int | str]) -> SamplerState:
        """The inverse of `to_dict`."""
        return cls(
            seed=int(values["seed"]),
            epoch=int(values["epoch"]),
            samples_done=int(values["samples_done"]),
            generation=str(values["generation"]),
            order=str(values.get("order", "")),  # checkpoints without one are refused with a sentence
        )


class SampleOrder:
    """The order of `num_samples` samples for a seed; a function of the position alone."""

    def __init__(
        self,
        num_samples: int,
        seed: int,
        generation: str = "",
        blocks: Sequence[object] | NDArray[np.generic] | None = None,
        window: int = 8,
    ) -> None:
        """A full shuffle, or one by blocks.

        generation: of the store that the samples come from; a position means nothing in another one.
        blocks: the block of each sample; window: how many blocks are shuffled together. A position also means
        nothing under other blocks or another window.
        """
        if num_samples < 1:
            raise InputError("Training needs at least 1 sample, but there are none.")
        self.num_samples = num_samples
        self.seed = seed
        self.generation = generation
        self._blocks = None if blocks is None else np.unique(np.asarray(blocks), return_inverse=True)[1]
        self._window = window
        self._last = (-1, np.empty(0, np.int64))
        self.described = self._describe()

    def start(self) -> SamplerState:
        """The position before the first step."""
        return SamplerState(self.seed, generation=self.generation, order=self.described)

    def check(self, state: SamplerState) -> None:
        """Raise InputError where a state belongs to another seed, generation or order, or lies past the end."""
        ours = self.start()
        same = (state.seed, state.generation, state.order) == (ours.seed, ours.generation, ours.order)
        if not same or state.samples_done >= self.num_samples:
            raise InputError(
                f"The checkpoint stands at sample {state.samples_done} with seed {state.seed}, generation "
                f"{state.generation!r} and the order {state.order!r}, but this run has seed {self.seed}, "
                f"generation {self.generation!r} and the order {self.described!r}; "
                "start over with fresh=true, or choose another out=."
            )

    def batch(
        self, epoch: int, samples_done: int, global_batch: int, rank: int, world_size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """One rank's indices and weights (0 for filling, else 1), ceil(global_batch / world_size) of each."""
        stretch = self._permutation(epoch)[samples_done : samples_done + global_batch]
        length = -(-global_batch // world_size)
        own = stretch[rank::world_size]
        indices = np.full(length, stretch[0])
        indices[: len(own)] = own
        weights = np.zeros(length, np.float32)
        weights[: len(own)] = 1
        return indices, weights

    def advance(self, state: SamplerState, global_batch: int) -> SamplerState:
        """The position after a step at `state`."""
        samples_done = state.samples_done + global_batch
        if samples_done < self.num_samples:
            return replace(state, samples_done=samples_done)
        return replace(state, epoch=state.epoch + 1, samples_done=0)

    def _describe(self) -> str:
        """What the order hangs on beside seed and epoch, in words."""
        if self._blocks is None:
            return f"{self.num_samples} samples, full shuffle"
        digest = hashlib.sha256(self._blocks.astype("<i8").tobytes()).hexdigest()[:8]
        return f"{self.num_samples} samples, blocks {digest}, window {self._window}"

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if self._last[0] != epoch:
            if self._blocks is None:
                order = permutation(self.num_samples, epoch, self.seed)
            else:
                order = block_permutation(self._blocks, self._window, epoch, self.seed)
            self._last = (epoch, order)
        return self._last[1]


def permutation(size: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """The order of `size` samples in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(size)


def block_permutation(blocks: NDArray[np.int64], window: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """The order in an epoch of samples that lie in blocks 0, 1, ...: windows of blocks one after the other."""
    rng = np.random.default_rng([seed, epoch])
    turn = rng.permutation(int(blocks.max()) + 1)[blocks] // window
    return np.lexsort((rng.random(len(blocks)), turn))
