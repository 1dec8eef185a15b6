from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from storage.both_hands import shows_both_hands
from storage.thumbnail import shrunk


def pair(hand: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.hstack([hand, hand[:, ::-1]])


def told(pixels: NDArray[np.uint8]) -> bool:
    return shows_both_hands(shrunk(pixels))


def test_d15_two_hands_side_by_side_are_told(drawn_hand: NDArray[np.uint8]) -> None:
    assert told(pair(drawn_hand))
    assert told(np.pad(pair(drawn_hand), 12, constant_values=255))


@pytest.mark.parametrize("turns", range(4))
def test_d15_one_hand_is_not_two(drawn_hand: NDArray[np.uint8], turns: int) -> None:
    assert not told(np.rot90(drawn_hand, turns))


def test_d15_what_is_no_pair_is_not_told(drawn_hand: NDArray[np.uint8]) -> None:
    air = np.full((300, 240), 12, np.uint8)
    block = air.copy()
    block[60:, 80:160] = 150
    for pixels in (
        air,
        np.hstack([drawn_hand, air]),
        np.hstack([drawn_hand, block]),  # unlike shapes
        np.vstack([drawn_hand, drawn_hand]),
        255 - pair(drawn_hand),
        np.random.default_rng(0).integers(0, 256, (300, 480), dtype=np.uint8),
    ):
        assert not told(pixels)


def test_d15_no_single_real_hand_and_no_chest_is_two(real_data: Path) -> None:
    films = [
        *(real_data / "hands").rglob("[0-9r]*[0-9].png"),
        *(real_data / "hands" / "atlas").glob("[35]*.jpg"),
    ]
    films += sorted((real_data / "chest" / "nih").rglob("*.jp*g"))[::8]
    pictures = [np.asarray(Image.open(path).convert("L")) for path in films]
    assert len(pictures) > 150
    assert not any(map(told, pictures))


def test_d15_a_real_hand_and_its_mirror_image_are_two(real_data: Path) -> None:
    hands = [
        np.asarray(Image.open(path).convert("L"))
        for path in sorted((real_data / "hands" / "rsna").glob("*.png"))
    ]
    assert sum(told(pair(one)) for one in hands) >= 0.8 * len(hands)
