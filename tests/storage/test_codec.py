"""Round trip is identity at 8 and 16 bits; the same pixels give the same bytes; nothing else is taken."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from storage.codec import decode_png, encode_png
from storage.errors import StorageError

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)


@settings(deadline=None)
@given(st.one_of(hnp.arrays(np.uint8, SHAPES), hnp.arrays(np.uint16, SHAPES)))
def test_round_trip(pixels_HW: NDArray[np.uint16]) -> None:
    data = encode_png(pixels_HW)
    decoded_HW = decode_png(data)
    assert decoded_HW.dtype == pixels_HW.dtype
    np.testing.assert_array_equal(decoded_HW, pixels_HW)
    assert encode_png(pixels_HW[::-1, ::-1][::-1, ::-1]) == data


def test_others_read_the_same_16_bits() -> None:
    pixels_HW = np.arange(70 * 90, dtype=np.uint16).reshape(70, 90) * 10
    with Image.open(io.BytesIO(encode_png(pixels_HW))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels_HW)


def test_colour_and_floats_are_refused() -> None:
    with pytest.raises(StorageError, match=r"^An image must be HxW of uint8 or uint16, but is \(4, 4, 3\)"):
        decode_png(bytes(imagecodecs.png_encode(np.zeros((4, 4, 3), np.uint8))))
    with pytest.raises(StorageError, match=r"but is .* of float32"):
        encode_png(np.zeros((4, 4), np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"not a PNG", encode_png(np.zeros((50, 50), np.uint8))[:40]])
def test_damage_is_a_sentence(data: bytes) -> None:
    with pytest.raises(StorageError, match=r"^A PNG in the store can't be decoded"):
        decode_png(data)
