"""Random numbers as a function of their place: Philox4x32-10, vectorised over counters.

Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), https://doi.org/10.1145/2063384.2063405.
A view's numbers follow from (seed, epoch, sample, view), so no batch, worker or rank can change them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter_N4: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Four random 32-bit words for each counter of four 32-bit words, as uint64 of the same shape."""
    a, b, c, d = np.moveaxis(counter_N4, -1, 0)
    for turn in range(10):
        key_0 = np.uint64((key[0] + turn * _WEYL[0]) & 0xFFFFFFFF)
        key_1 = np.uint64((key[1] + turn * _WEYL[1]) & 0xFFFFFFFF)
        product_a, product_c = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        a, b, c, d = (
            (product_c >> _HALF) ^ b ^ key_0,
            product_c & _LOW,
            (product_a >> _HALF) ^ d ^ key_1,
            product_a & _LOW,
        )
    return np.stack((a, b, c, d), axis=-1)


def uniforms(
    seed: int, epoch: int, samples_N: NDArray[np.int64], num_views: int, blocks: range
) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1): four for each block of each view of each sample, (N, views, blocks, 4)."""
    shape = (len(samples_N), num_views, len(blocks))
    counter = np.empty((*shape, 4), np.uint64)
    counter[..., 0] = np.asarray(blocks, np.uint64)
    counter[..., 1] = np.arange(num_views, dtype=np.uint64)[:, None]
    counter[..., 2] = samples_N.astype(np.uint64)[:, None, None]
    counter[..., 3] = np.uint64(epoch)
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    return (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
