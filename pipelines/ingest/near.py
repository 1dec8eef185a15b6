"""Films that are the same to the eye: resized, windowed or compressed anew, within and across subjects.

1. Candidates: perceptual hashes of 1024 bits that differ in at most 100. Unlike hands and chests differ in 260
   and more, copies resized or of another gamma in up to 100.
2. Confirmed: both films at 128 x 128 correlate by 0.98 or more.
3. In their order, each film that is near to an earlier one that stays is left out.

Frames of one object show one scene at several moments: they are never compared. Nor does likeness alone make one
of two fluoroscopic films of one exam superfluous: they are left out only as copies, their hashes within 20 bits and
their correlation .999, where the next moment has moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.radiograph import Pixels
from storage.thumbnail import SIDE_PX, Gray, shrunk

MOST_BITS = 100
LEAST_CORRELATION = 0.98
COPY_BITS, COPY_CORRELATION = 20, 0.999

_BLOCK, _OTHERS = 256, 4096  # films compared at a time, these with those
_MOVING = ("RF", "XA")


@dataclass(frozen=True, slots=True)
class Look:
    """A film as the search sees it."""

    key: str
    phash: bytes
    token: str  # of its file
    frame: int
    exam: str
    modality: str
    shard: str = ""  # where it was planned to lie
    loss: float = 0.0  # of its compression: 0 for none, else the ratio, infinite where that is unknown
    pixels: int = 0
    subject: str = ""

    @property
    def place(self) -> tuple[float, int, str, int, str]:
        """What orders the films: of several that are the same the first stays, the least lossy and the largest."""
        return self.loss, -self.pixels, self.token, self.frame, self.key

    def moves_with(self, other: Look) -> bool:
        """Whether both may be moments of one scene in motion."""
        return self.exam == other.exam and self.modality in _MOVING

    def may_repeat(self, other: Look) -> bool:
        """Whether likeness would mean that one of both is superfluous."""
        if self.token == other.token:
            return False
        return not self.moves_with(other) or _bits_apart(self.phash, other.phash) <= COPY_BITS


Pair = tuple[Look, Look]


def near_duplicates(
    looks: Sequence[Look],
    correlation: Callable[[Look, Look], float],
    ahead: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> dict[str, str]:
    """Key of a film to leave out -> key of the film that stays for it, an earlier one in the order of `looks`.

    ahead: gives the pairs back in their order, and may prepare the next ones meanwhile. Of those it draws too early
    some need no comparison any more.
    """
    same_as: dict[str, str] = {}

    def undecided(pair: Pair) -> bool:
        return not any(look.key in same_as for look in pair)

    pairs = ((looks[first], looks[second]) for first, second in candidates([look.phash for look in looks]))
    for one, other in ahead(pair for pair in pairs if undecided(pair) and pair[0].may_repeat(pair[1])):
        least = COPY_CORRELATION if one.moves_with(other) else LEAST_CORRELATION
        if undecided((one, other)) and correlation(one, other) >= least:
            same_as[other.key] = one.key
    return same_as


def _bits_apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def candidates(phashes: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, ordered by i, whose hashes differ in at most MOST_BITS bits; memory stays flat.

    The last words are compared first: they hold the fine detail, in which almost all pairs differ too much.
    """
    words_WN = _words(phashes) if phashes else np.zeros((0, 0), np.uint64)
    for start in range(0, len(phashes), _BLOCK):
        pairs: list[tuple[int, int]] = []
        for other in range(start, len(phashes), _OTHERS):
            pairs += _near_pairs(words_WN, start, other)
        yield from sorted(pairs)


def _near_pairs(words_WN: NDArray[np.uint64], start: int, other: int) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of the films of the block from `start` and those from `other`."""
    block_WB, others_WN = words_WN[:, start : start + _BLOCK], words_WN[:, other : other + _OTHERS]
    differ_BN = np.zeros((block_WB.shape[1], others_WN.shape[1]), np.uint16)
    for word_B, word_N in zip(block_WB[:4], others_WN[:4], strict=True):
        differ_BN += np.bitwise_count(word_B[:, None] ^ word_N[None])
    near_B, near_N = np.nonzero(differ_BN <= MOST_BITS)
    first_P, second_P = start + near_B, other + near_N
    later = second_P > first_P
    first_P, second_P = first_P[later], second_P[later]
    differ_P = np.bitwise_count(words_WN[:, first_P] ^ words_WN[:, second_P]).sum(axis=0, dtype=np.uint16)
    kept = differ_P <= MOST_BITS
    return zip(first_P[kept].tolist(), second_P[kept].tolist(), strict=True)


def _words(phashes: Sequence[bytes]) -> NDArray[np.uint64]:
    """The last word of each hash, then the one before it, and so on."""
    words_NW = np.frombuffer(b"".join(phashes), np.uint64).reshape(len(phashes), -1)
    return np.ascontiguousarray(words_NW[:, ::-1].T)


def small(pixels_HW: Pixels) -> Gray:
    """The film at 128 x 128, whatever its shape."""
    picture = Image.fromarray(shrunk(pixels_HW).astype(np.float32))
    resized = picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float64)


def correlate(one_HW: Gray, other_HW: Gray) -> float:
    """Pearson's correlation of two pictures; 0 where one is flat."""
    one, other = one_HW - one_HW.mean(), other_HW - other_HW.mean()
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / scale if scale else 0.0
