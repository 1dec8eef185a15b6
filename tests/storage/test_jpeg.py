"""A JPEG loses what it says of a person and nothing of its picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from storage.jpeg import stripped
from storage.radiograph import Limits
from storage.raster import read_raster

CANARY = b"canary^jane"
PIXELS_HW = (np.add.outer(np.arange(75), np.arange(90)) + np.eye(75, 90) * 60).astype(np.uint8)


def jpeg(pixels: NDArray[Any] = PIXELS_HW, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_names() -> bytes:
    """A film from a camera: EXIF, a comment, JFIF's own header, and more after its end."""
    exif = Image.Exif()
    exif[0x010E] = CANARY.decode()
    return jpeg(exif=exif, comment=CANARY) + CANARY


def test_names_go_and_pixels_stay() -> None:
    data = with_names()
    assert data.count(CANARY) == 3
    bare = stripped(data)
    assert bare is not None
    assert CANARY not in bare and b"Exif" not in bare and b"JFIF" not in bare
    np.testing.assert_array_equal(imagecodecs.jpeg8_decode(bare), imagecodecs.jpeg8_decode(data))
    with Image.open(io.BytesIO(data)) as whole, Image.open(io.BytesIO(bare)) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(whole))
    assert stripped(bare) == bare


@pytest.mark.parametrize("options", [{"quality": 100}, {"optimize": True}, {"restart_marker_rows": 1}])
def test_every_baseline_file_of_one_component_passes(options: dict[str, Any]) -> None:
    noise_HW = np.random.default_rng(0).integers(0, 256, (97, 131), dtype=np.uint8)
    data = jpeg(noise_HW, **options)
    bare = stripped(data)
    assert bare is not None
    np.testing.assert_array_equal(imagecodecs.jpeg8_decode(bare), imagecodecs.jpeg8_decode(data))


def test_everything_else_is_left_to_the_codecs() -> None:
    assert stripped(jpeg(np.dstack([PIXELS_HW] * 3))) is None
    assert stripped(jpeg(progressive=True)) is None
    assert stripped(imagecodecs.ljpeg_encode(PIXELS_HW.astype(np.uint16))) is None
    assert stripped(imagecodecs.png_encode(PIXELS_HW)) is None


@given(st.data())
def test_no_cut_or_changed_byte_hangs_or_crashes(data: st.DataObject) -> None:
    whole = bytearray(with_names())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    for damaged in (bytes(whole), bytes(whole[:place])):
        assert stripped(damaged) is None or CANARY not in stripped(damaged)[-len(CANARY) :]  # type: ignore[index]


def test_raster_hands_it_on(tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"
    path.write_bytes(with_names())
    [film] = read_raster(path, Limits())
    assert film.jpeg == stripped(path.read_bytes())
    np.testing.assert_array_equal(imagecodecs.jpeg8_decode(film.jpeg), film.pixels)
