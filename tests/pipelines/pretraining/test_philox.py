"""Philox4x32-10 against the vectors its authors publish (Random123, kat_vectors), and our use of it."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.pretraining.philox import philox, uniforms


def words(text: str) -> np.ndarray:
    return np.array([int(word, 16) for word in text.split()], np.uint64)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers(counter: str, key: str, expected: str) -> None:
    first, second = words(key).tolist()
    assert np.array_equal(philox(words(counter), (first, second)), words(expected))


def test_numbers_follow_from_their_place_alone() -> None:
    whole = uniforms(7, 3, np.arange(50), 6, range(10))
    part = uniforms(7, 3, np.array([41, 5]), 4, range(2, 7))
    assert np.array_equal(part, whole[[41, 5], :4, 2:7])
    for seed, epoch in ((8, 3), (7, 4), (7 + 2**32, 3)):
        assert not np.array_equal(uniforms(seed, epoch, np.arange(50), 6, range(10)), whole)


def test_numbers_are_uniform() -> None:
    numbers = uniforms(1, 0, np.arange(200), 6, range(20)).ravel()
    assert numbers.min() >= 0 and numbers.max() < 1
    counts, _ = np.histogram(numbers, 20, (0, 1))
    assert (
        np.square(counts - len(numbers) / 20).sum() / (len(numbers) / 20) < 45
    )  # chi-squared, 19 d.f.: p = 0.0007
