from __future__ import annotations

import numpy as np

from storage.thumbnail import percentile, shrunk, stretched


def test_blocks_become_their_means() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (530, 402), dtype=np.uint16)
    small = shrunk(pixels, 100)
    assert small.shape == (132, 100)
    assert np.allclose(small, pixels[:528, :400].reshape(132, 4, 100, 4).mean(axis=(1, 3)))


def test_sums_of_bright_bytes_do_not_overflow() -> None:
    for side in (130 * 4, 2 * 300):  # blocks of 4 rows, whose sums fit 16 bits, and of 300, whose sums do not
        pixels = np.full((side, side), 255, np.uint8)
        assert (shrunk(pixels, 130 if side == 520 else 2) == 255).all()


def test_percentiles_are_numpys() -> None:
    values = np.random.default_rng(0).normal(size=1237)
    for percent in (0, 1, 20, 50.5, 99, 100):
        assert np.isclose(percentile(np.sort(values), percent), np.percentile(values, percent), rtol=1e-15)


def test_a_small_film_stays() -> None:
    pixels = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    assert np.array_equal(shrunk(pixels), pixels)


def test_gray_levels_are_stretched_between_the_outer_percents() -> None:
    gray = stretched(np.arange(101, dtype=float).reshape(1, 101))
    assert gray is not None
    assert (gray[0, 0], gray[0, 50], gray[0, 100]) == (0, 0.5, 1)
    assert stretched(np.full((9, 9), 3.0)) is None
