from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from storage.polarity import air_says, settled
from storage.radiograph import Pixels, Radiograph, RadiographMeta


def film(pixels: Pixels, flag: str = "", bits: int = 8, valid: NDArray[np.bool_] | None = None) -> Radiograph:
    return Radiograph(pixels, bits, RadiographMeta(polarity_flag=flag), valid)


def framed(pixels: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    return np.pad(pixels, 12, constant_values=level)


@pytest.mark.parametrize("turns", range(4))
def test_d3_the_air_around_a_limb_tells_the_polarity(drawn_hand: NDArray[np.uint8], turns: int) -> None:
    pixels = np.rot90(drawn_hand, turns)
    assert air_says(film(pixels)) == 1
    assert air_says(film(255 - pixels)) == -1


@pytest.mark.parametrize("level", [0, 255])
def test_d3_frames_of_either_kind_do_not_mislead(drawn_hand: NDArray[np.uint8], level: int) -> None:
    assert air_says(film(framed(drawn_hand, level))) == 1
    assert air_says(film(framed(255 - drawn_hand, level))) == -1


def test_d3_what_fills_the_film_leaves_the_test_silent() -> None:
    rng = np.random.default_rng(0)
    ramp = np.tile(np.arange(250, dtype=np.uint8), (200, 1))
    for pixels in (rng.integers(0, 256, (300, 200), dtype=np.uint8), ramp, np.full((99, 99), 7, np.uint8)):
        assert air_says(film(pixels)) == 0


@pytest.mark.parametrize("flag", ["", "inverted"])
def test_d3_a_header_without_contradiction_stands(drawn_hand: NDArray[np.uint8], flag: str) -> None:
    negative = film(255 - drawn_hand, flag)
    assert settled(negative) is negative


def test_d3_a_conflict_is_settled_by_content(drawn_hand: NDArray[np.uint8]) -> None:
    for pixels in (drawn_hand, 255 - drawn_hand):
        done = settled(film(pixels, "conflict"))
        assert np.array_equal(done.pixels, drawn_hand)
        assert done.meta.polarity_flag == "conflict_settled"


def test_d3_where_the_content_is_silent_the_photometric_interpretation_stands() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 200), dtype=np.uint8)
    done = settled(film(noise, "conflict"))
    assert np.array_equal(done.pixels, noise)
    assert done.meta.polarity_flag == "conflict"


def test_d3_a_person_overrules_header_and_content(drawn_hand: NDArray[np.uint8]) -> None:
    for flag in ("", "inverted", "conflict", "unstated"):
        negative = film(255 - drawn_hand, flag)
        kept, inverted = settled(negative, "keep"), settled(negative, "invert")
        assert np.array_equal(kept.pixels, negative.pixels)
        assert np.array_equal(inverted.pixels, drawn_hand)
        assert kept.meta.polarity_flag == inverted.meta.polarity_flag == "override"


def test_d4_content_inverts_about_the_bit_range_too(drawn_hand: NDArray[np.uint8]) -> None:
    negative = (4000 - 10 * drawn_hand.astype(np.uint16)).astype(np.uint16)
    done = settled(film(negative, "unstated", bits=12))
    assert np.array_equal(done.pixels, 4095 - negative)
    assert done.pixels.dtype == np.uint16


def test_d10_raster_films_are_inverted_by_content_alone(drawn_hand: NDArray[np.uint8]) -> None:
    positive, negative = settled(film(drawn_hand, "unstated")), settled(film(255 - drawn_hand, "unstated"))
    assert np.array_equal(positive.pixels, drawn_hand)
    assert np.array_equal(negative.pixels, drawn_hand)
    assert (positive.meta.polarity_flag, negative.meta.polarity_flag) == ("unstated", "inverted_content")


def test_d17_a_shutter_is_neither_air_nor_limb(drawn_hand: NDArray[np.uint8]) -> None:
    pixels = np.pad(drawn_hand, 60, constant_values=255)
    valid = np.pad(np.ones((300, 240), bool), 60)
    assert air_says(film(pixels, valid=valid)) == 1
    assert air_says(film(np.pad(255 - drawn_hand, 60), valid=valid)) == -1


def test_d10_real_films_are_never_turned_the_wrong_way(real_data: Path) -> None:
    """Hands are told in nine of ten cases; chests, which fill their film, are left alone."""

    def says(path: Path, invert: bool = False) -> int:
        pixels = np.asarray(Image.open(path).convert("L"))
        return air_says(film(255 - pixels if invert else pixels))

    hands = [*sorted((real_data / "hands" / "rsna").glob("*.png"))]
    hands += sorted((real_data / "hands" / "infant").glob("*.png"))
    told = [says(path) for path in hands]
    assert -1 not in told
    assert told.count(1) >= 0.8 * len(hands)
    assert [says(path, invert=True) for path in hands] == [-answer for answer in told]
    chests = sorted((real_data / "chest").rglob("images/*.png"))[::8]
    chests += sorted((real_data / "chest" / "nih").rglob("*.jp*g"))[::8]
    assert len(chests) > 100
    assert {says(path) for path in chests} == {0}
