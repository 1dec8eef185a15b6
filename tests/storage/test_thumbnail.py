from __future__ import annotations

import numpy as np

from storage.thumbnail import shrunk, stretched


def test_blocks_become_their_means() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (530, 402), dtype=np.uint16)
    small = shrunk(pixels, 100)
    assert small.shape == (132, 100)
    assert np.allclose(small, pixels[:528, :400].reshape(132, 4, 100, 4).mean(axis=(1, 3)))


def test_a_small_film_stays() -> None:
    pixels = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    assert np.array_equal(shrunk(pixels), pixels)


def test_gray_levels_are_stretched_between_the_outer_percents() -> None:
    gray = stretched(np.arange(101, dtype=float).reshape(1, 101))
    assert gray is not None
    assert (gray[0, 0], gray[0, 50], gray[0, 100]) == (0, 0.5, 1)
    assert stretched(np.full((9, 9), 3.0)) is None
