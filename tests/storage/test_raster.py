from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from storage.dicom import read_dicom
from storage.errors import Quarantined
from storage.polarity import settled
from storage.radiograph import Limits
from storage.raster import looks_like_raster, read_mask, read_raster, read_raster_header

LIMITS = Limits()


@pytest.fixture
def gray() -> NDArray[np.uint8]:
    return (np.arange(40 * 50).reshape(40, 50) % 251).astype(np.uint8)


def saved(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def pixels_of(path: Path) -> NDArray[Any]:
    [film] = read_raster(path, LIMITS)
    return film.pixels


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_d10_eight_and_sixteen_bits_stay_exact(tmp_path: Path, suffix: str, ramp: NDArray[np.uint16]) -> None:
    for pixels, bits in (((ramp % 251).astype(np.uint8), 8), (ramp, 12), (ramp + np.uint16(60000), 16)):
        [film] = read_raster(saved(tmp_path / f"{bits}{suffix}", pixels), LIMITS)
        assert np.array_equal(film.pixels, pixels)
        assert (film.pixels.dtype, film.bits) == (pixels.dtype, bits)


def test_d4_one_bright_pixel_does_not_move_what_is_inverted(tmp_path: Path, ramp: NDArray[np.uint16]) -> None:
    """Two films of one 12-bit detector, whose maxima need 11 bits and 12."""
    brighter = ramp.copy()
    brighter[0, 0] = 2060
    films = [read_raster(saved(tmp_path / f"{one.max()}.png", one), LIMITS)[0] for one in (ramp, brighter)]
    one, other = (settled(film, "invert").pixels for film in films)
    assert np.count_nonzero(one != other) == 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_zero_is_white_is_inverted(tmp_path: Path, ramp: NDArray[np.uint16], bits: int) -> None:
    """About the range of its bits, whatever they are; BlackIsZero (262 SHORT 1) becomes WhiteIsZero."""
    pixels = (ramp % 251).astype(np.uint8) if bits == 8 else ramp
    path = saved(tmp_path / "film.tif", pixels)
    data = path.read_bytes()
    black = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert data.count(black) == 1
    path.write_bytes(data.replace(black, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))
    assert np.array_equal(pixels_of(path), np.iinfo(pixels.dtype).max - pixels)


def test_d10_jpeg_is_read(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    read = pixels_of(saved(tmp_path / "film.jpg", gray, quality=100, subsampling=0))
    assert np.abs(read.astype(int) - gray).max() <= 2


def test_d12_jpeg_lost_something_and_says_so(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    for suffix, lossy in ((".jpg", True), (".png", False)):
        [film] = read_raster(saved(tmp_path / f"film{suffix}", gray), LIMITS)
        assert film.meta.lossy == lossy
        assert film.meta.polarity_flag == "unstated"


def test_equal_channels_are_gray(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    assert np.array_equal(pixels_of(saved(tmp_path / "film.png", np.dstack([gray] * 3))), gray)


def test_d10_alpha_and_palette_are_gray_behind(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    opaque = np.full_like(gray, 255)
    assert np.array_equal(pixels_of(saved(tmp_path / "rgba.png", np.dstack([gray] * 3 + [opaque]))), gray)
    assert np.array_equal(pixels_of(saved(tmp_path / "la.png", np.dstack([gray, opaque]))), gray)
    palette = Image.fromarray(gray)
    palette = palette.convert("P")
    palette.save(tmp_path / "p.png")
    assert np.array_equal(pixels_of(tmp_path / "p.png"), gray)


def test_sixteen_bits_of_colour_stay_sixteen(tmp_path: Path, ramp: NDArray[np.uint16]) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(np.dstack([ramp * 30] * 3))))
    assert np.array_equal(pixels_of(path), ramp * 30)


def test_a_tinted_film_becomes_its_luminance(tmp_path: Path) -> None:
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 110, 100, 80
    pixels[0] = 255
    assert pixels_of(saved(tmp_path / "film.png", pixels))[5, 5] == round(
        0.299 * 110 + 0.587 * 100 + 0.114 * 80
    )


def test_d10_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60), np.uint8)
    pixels[:10, :10] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    read = pixels_of(saved(tmp_path / "film.jpg", pixels, exif=exif))
    assert read.shape == (60, 40)
    assert read[:9, 31:].mean() > 200


def test_pages_of_a_tiff_are_films(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    path = tmp_path / "film.tif"
    Image.fromarray(gray).save(path, save_all=True, append_images=[Image.fromarray(255 - gray)])
    assert read_raster_header(path, LIMITS).frames == 2
    assert [int(film.pixels[0, 0]) for film in read_raster(path, LIMITS)] == [0, 255]


def test_a_phantom_says_so(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    notes = PngInfo()
    for name, value in (("data_kind", "phantom"), ("patient_id", "p7"), ("laterality", "R")):
        notes.add_text(name, value)
    path = saved(tmp_path / "film.png", gray, pnginfo=notes)
    header = read_raster_header(path, LIMITS)
    assert (header.data_kind, header.identity.patient_id) == ("phantom", "p7")
    [film] = read_raster(path, LIMITS)
    assert (film.meta.data_kind, film.meta.laterality) == ("phantom", "R")


def test_what_is_no_film_is_refused(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    photograph = np.zeros((40, 50, 3), np.uint8)
    photograph[..., 0] = 200
    refused = {
        "too_small": saved(tmp_path / "icon.png", gray[:16]),
        "unsupported": saved(tmp_path / "photograph.png", photograph),
        "vanished": tmp_path / "gone.png",
    }
    for reason, path in refused.items():
        with pytest.raises(Quarantined, match=reason):
            read_raster(path, LIMITS)
    with pytest.raises(Quarantined, match="unsupported"):
        read_raster(saved(tmp_path / "float.tif", gray.astype(np.float32)), LIMITS)
    with pytest.raises(Quarantined, match="too_large"):
        read_raster_header(saved(tmp_path / "film.png", gray), Limits(max_megapixels=0.001))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_any_cut_of_a_file_is_refused_or_read(tmp_path: Path, suffix: str, gray: NDArray[np.uint8]) -> None:
    data = saved(tmp_path / f"film{suffix}", gray).read_bytes()
    path = tmp_path / f"cut{suffix}"
    refused = 0
    for length in range(4, len(data) - 12, max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        try:
            read_raster(path, LIMITS)
        except Quarantined as error:
            refused += 1
            assert error.reason in ("unreadable", "too_small")
    assert refused > 10


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="Linux alone has this file")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Pillow leaves it open
@pytest.mark.parametrize("read", [read_raster, read_raster_header, read_dicom])
def test_an_error_of_the_disk_is_no_damage(read: Any) -> None:
    """The memory at address 0 can't be read: EIO."""
    with pytest.raises(Quarantined, match=r"^vanished: the file can't be read now \(EIO\)"):
        read(Path("/proc/self/mem"), LIMITS)


def test_a_header_that_points_nowhere_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "film.tif"
    path.write_bytes(b"II*\0" + b"\xff" * 60)
    with pytest.raises(Quarantined, match="unreadable"):
        read_raster(path, LIMITS)


def test_content_tells_raster_images(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    for suffix in (".png", ".jpg", ".tif"):
        assert looks_like_raster(saved(tmp_path / f"film{suffix}", gray).read_bytes()[:16])
    assert not looks_like_raster(b"patient_id;t_score")


def test_masks_are_class_indices(tmp_path: Path) -> None:
    mask = (np.arange(40 * 50).reshape(40, 50) % 8).astype(np.uint8)
    assert np.array_equal(read_mask(saved(tmp_path / "gray.png", mask), LIMITS), mask)
    palette = Image.frombytes("P", (50, 40), mask.tobytes())
    palette.putpalette([3 * value for value in range(8) for _ in range(3)])
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_mask(tmp_path / "palette.png", LIMITS), mask)
    with pytest.raises(Quarantined, match="mask_mismatch"):
        read_mask(saved(tmp_path / "colour.png", np.dstack([mask] * 3)), LIMITS)
