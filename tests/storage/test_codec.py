"""Round trip is identity at 1 to 16 bits; the same pixels give the same bytes; damage is a sentence."""

from __future__ import annotations

import io

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from storage.codec import decode, decode_png, encode, encode_png
from storage.config import CODECS, IngestConfig
from storage.errors import ConfigError, StorageError
from storage.png import decode_up_filtered

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=70)


@st.composite
def films(draw: st.DrawFn) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Films of 1 to 16 bits and any size: constant, noise, or smooth as films are."""
    bits, (height, width) = draw(st.integers(1, 16)), draw(SHAPES)
    dtype, top = (np.uint8 if bits <= 8 else np.uint16), 2**bits - 1
    kind = draw(st.sampled_from(["constant", "noise", "smooth", "extremes"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if kind == "constant":
        values = np.full((height, width), draw(st.integers(0, top)))
    elif kind == "noise":
        values = rng.integers(0, top, (height, width), endpoint=True)
    elif kind == "smooth":
        ramp = np.linspace(0, top, height)[:, None] + np.linspace(0, top, width)
        values = np.clip(ramp / 2 + rng.normal(0, 1, (height, width)), 0, top)
    else:
        values = rng.integers(0, 2, (height, width)) * top
    return values.astype(dtype)


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None)
@given(pixels_HW=films())
def test_round_trip(codec: str, pixels_HW: NDArray[np.uint16]) -> None:
    data = encode(pixels_HW, codec)
    decoded_HW = decode(data, codec)
    assert decoded_HW.dtype == pixels_HW.dtype
    np.testing.assert_array_equal(decoded_HW, pixels_HW)
    assert encode(pixels_HW[::-1, ::-1][::-1, ::-1], codec) == data


@pytest.mark.parametrize("codec", CODECS)
def test_a_film_of_many_code_blocks(codec: str) -> None:
    rng = np.random.default_rng(0)
    pixels_HW = rng.integers(0, 2**16, (1201, 903), dtype=np.uint16)
    np.testing.assert_array_equal(decode(encode(pixels_HW, codec), codec), pixels_HW)


@settings(deadline=None)
@given(films())
def test_the_fast_way_reads_every_png_of_ours_as_libpng_does(pixels_HW: NDArray[np.uint16]) -> None:
    data = encode_png(pixels_HW)
    fast_HW = decode_up_filtered(data)
    assert fast_HW is not None
    np.testing.assert_array_equal(fast_HW, imagecodecs.png_decode(data))


@pytest.mark.parametrize("filters", list(imagecodecs.PNG.FILTER))
def test_pngs_of_others_are_read_too(filters: int) -> None:
    pixels_HW = (np.arange(70 * 90) * 37 % 65536).astype(np.uint16).reshape(70, 90)
    for pixels in (pixels_HW, pixels_HW.astype(np.uint8)):
        np.testing.assert_array_equal(decode_png(imagecodecs.png_encode(pixels, filter=filters)), pixels)


def test_others_read_the_same_16_bits() -> None:
    pixels_HW = np.random.default_rng(0).integers(0, 2**16, (2100, 2300), dtype=np.uint16)
    data = encode_png(pixels_HW)
    assert len(data) > 8_000_000  # OpenCV takes no larger chunks
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), pixels_HW
    )
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels_HW)
    # any reader of JPEG 2000 with part 15 reads the codestream, such as OpenJPEG
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(encode(pixels_HW, "htj2k")), pixels_HW)


def test_colour_and_floats_are_refused() -> None:
    with pytest.raises(StorageError, match=r"^An image must be HxW of uint8 or uint16, but is \(4, 4, 3\)"):
        decode_png(bytes(imagecodecs.png_encode(np.zeros((4, 4, 3), np.uint8))))
    for codec in CODECS:
        with pytest.raises(StorageError, match=r"but is .* of float32"):
            encode(np.zeros((4, 4), np.float32), codec)  # type: ignore[arg-type]


@pytest.mark.parametrize(("codec", "name"), [("png", "PNG"), ("htj2k", "HTJ2K codestream"), ("jpeg", "JPEG")])
def test_damage_is_a_sentence(codec: str, name: str) -> None:
    for data in (b"", b"no image", encode_png(np.zeros((50, 50), np.uint8))[:40]):
        with pytest.raises(StorageError, match=rf"^A {name} in the store can't be decoded"):
            decode(data, codec)


@pytest.mark.parametrize("side", [0, 2**31, 2**32 - 1])
def test_a_png_of_impossible_size_is_a_sentence(side: int) -> None:
    data = bytearray(encode_png(np.zeros((50, 50), np.uint8)))
    for place in (16, 20):  # width and height in the header chunk
        data[place : place + 4] = side.to_bytes(4, "big")
        with pytest.raises(StorageError, match=r"^A PNG in the store can't be decoded"):
            decode_png(bytes(data))


@pytest.mark.parametrize("codec", CODECS)
def test_any_cut_is_an_error_or_an_image(codec: str) -> None:
    """Which of the two depends on the codec: the checksum of the member comes before it."""
    data = encode(np.random.default_rng(0).integers(0, 4096, (60, 50), dtype=np.uint16), codec)
    refused = 0
    for length in range(0, len(data), 97):
        try:
            assert decode(data[:length], codec).ndim == 2
        except StorageError:
            refused += 1
    assert refused


def test_an_unknown_codec_is_a_sentence() -> None:
    with pytest.raises(StorageError, match=r"^The codec of a film must be one of png, jpeg, htj2k, but is"):
        decode(b"", "webp")
    with pytest.raises(ConfigError, match=r"^ingest\.codec must be one of png, htj2k, but is jpeg\.$"):
        IngestConfig(codec="jpeg")
