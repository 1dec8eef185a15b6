"""Radiographs from PNG, JPEG and TIFF files, 8 and 16 bit.

Untrusted like DICOM: the size is checked on the header, before anything is decoded; every failure is
Quarantined. A raster image does not say its polarity or spacing: it is taken as it is, flagged `unstated`, and
without the latter.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from storage.deidentify import SIDES, word
from storage.errors import Quarantined, lost_file
from storage.jpeg import stripped
from storage.radiograph import (
    MAX_FRAMES,
    MIN_SIDE_PX,
    Header,
    Identity,
    Limits,
    Pixels,
    Radiograph,
    RadiographMeta,
    check_chosen,
)

_FORMATS = ("PNG", "JPEG", "TIFF")
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
_GRAY8, _GRAY16 = ("L", "LA"), ("I;16", "I;16B", "I;16L", "I")
_COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
_LUMINANCE = np.array([299, 587, 114])  # ITU-R 601, in thousandths
_PHOTOMETRIC = 262  # the tag PhotometricInterpretation of a TIFF
_VIVID = 64  # of 255: a tinted film or a marker stays below, skin and clothes do not
_VIVID_SHARE = 0.25


def looks_like_raster(head: bytes) -> bool:
    """Whether a file begins as PNG, JPEG or TIFF do."""
    return head.startswith(_MAGIC)


def read_raster_header(path: Path, limits: Limits) -> Header:
    """Read frames and what a phantom says of itself, no pixels. Raises Quarantined as `read_raster` would."""
    with _opened(path, limits) as image:
        notes = _notes(image)
        return Header(
            frames=_num_frames(image),
            height=image.size[1],
            width=image.size[0],
            laterality=word(notes.get("laterality"), SIDES),
            data_kind=_data_kind(notes),
            identity=Identity(patient_id=notes.get("patient_id", "")),
        )


def read_raster(path: Path, limits: Limits, chosen: Sequence[int] | None = None) -> list[Radiograph]:
    """Decode a file into one radiograph per chosen page, from 0; None is all. Raises Quarantined otherwise."""
    with _opened(path, limits) as image:
        notes = _notes(image)
        side = word(notes.get("laterality"), SIDES)
        films: list[Radiograph] = []
        total = 0
        for page in range(_num_frames(image)) if chosen is None else chosen:
            image.seek(page)
            total += image.size[0] * image.size[1]
            check_chosen(total, limits)
            pixels, photometric = _gray(image, path)
            meta = RadiographMeta(
                photometric=photometric,
                laterality=side,
                laterality_source="image" if side else "",
                polarity_flag="unstated",
                lossy=image.format == "JPEG",
                data_kind=_data_kind(notes),
            )
            jpeg = stripped(path.read_bytes()) if image.format == "JPEG" else None
            films.append(Radiograph(pixels, _bits(pixels), meta, jpeg=jpeg))
        return films


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Pillow only warns below twice its own cap; ours is checked instead, before it decodes
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                _check_size(image, limits)
                yield image
    except (Quarantined, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Quarantined("unreadable", "the image header is damaged") from error
    except Image.DecompressionBombError as error:
        raise Quarantined("too_large", "more pixels than ingest.max_megapixels") from error
    except Exception as error:
        raise lost_file(error) or Quarantined("unreadable", "the image is damaged") from error


def _num_frames(image: Image.Image) -> int:
    # an animated PNG is no radiograph series: its first picture stands for it
    return int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1


def _notes(image: Image.Image) -> dict[str, str]:
    """The tEXt chunks in front of the pixels of a PNG."""
    return {str(name): value for name, value in image.info.items() if isinstance(value, str)}


def _data_kind(notes: Mapping[str, str]) -> str:
    return "phantom" if notes.get("data_kind") == "phantom" else "real"


def _bits(pixels: Pixels) -> int:
    """Bits of the detector: films of 10, 12 or 14 come in files of 16, which do not say so.

    Even, and 12 at least, lest one film's brightest pixel decide about which range it is inverted: only beyond 4095
    and 16383 it still does.
    """
    used = int(pixels.max()).bit_length()
    return 8 if pixels.dtype == np.uint8 else max(12, used + used % 2)


def _check_size(image: Image.Image, limits: Limits) -> None:
    if _num_frames(image) > MAX_FRAMES:
        raise Quarantined("too_large", "more frames than any loop has")
    for page in range(_num_frames(image)):
        image.seek(page)
        if min(image.size) < MIN_SIDE_PX:
            raise Quarantined("too_small")
        if image.size[0] * image.size[1] > limits.max_megapixels * 1e6:
            raise Quarantined("too_large", "more pixels than ingest.max_megapixels")
    image.seek(0)


def _gray(image: Image.Image, path: Path) -> tuple[Pixels, str]:
    """Pixels HxW, upright, and the photometric interpretation of the source."""
    if image.format == "PNG" and image.mode not in _GRAY16 and _deep(path):
        values_HWC = imagecodecs.png_decode(path.read_bytes())  # of 16 bits in colour Pillow would keep 8
        return (
            (values_HWC[..., 0], "MONOCHROME2")
            if values_HWC.shape[-1] == 2
            else (_luminance(values_HWC), "RGB")
        )
    upright = ImageOps.exif_transpose(image)
    if image.mode in _GRAY8:
        return np.asarray(upright.getchannel(0)), "MONOCHROME2"
    if image.mode in _GRAY16:
        return _bright_where_high(image, _unsigned(np.asarray(upright))), "MONOCHROME2"
    if image.mode not in _COLOUR:
        raise Quarantined("unsupported", "neither 8 nor 16 bits per pixel")
    return _luminance(np.asarray(upright.convert("RGB"))), "RGB"


def _bright_where_high(image: Image.Image, gray_HW: Pixels) -> Pixels:
    """Inverts a TIFF whose 0 is white (TIFF 6.0, tag 262): of 8 bits Pillow does so itself, of 16 it does not."""
    white_is_zero = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]
    return np.iinfo(np.uint16).max - gray_HW if white_is_zero else gray_HW


def _deep(path: Path) -> bool:
    """Whether a PNG has 16 bits per channel: byte 24 of the file."""
    with path.open("rb") as file:
        return file.read(25)[24:] == b"\x10"


def _unsigned(values_HW: NDArray[np.generic]) -> Pixels:
    """Gray levels as uint16, where they are that."""
    low, high = int(values_HW.min()), int(values_HW.max())
    if low < 0 or high > np.iinfo(np.uint16).max:
        raise Quarantined("unsupported", "gray levels outside 16 bits")
    gray_HW: Pixels = values_HW.astype(np.uint16)
    return gray_HW


def _luminance(colour_HWC: NDArray[np.uint8] | NDArray[np.uint16]) -> Pixels:
    """The gray film behind three channels: any of them where they are equal, else the luminance."""
    colour_HWC = colour_HWC[..., :3]
    red_HW: Pixels = colour_HWC[..., 0].copy()
    if np.array_equal(colour_HWC, np.broadcast_to(red_HW[..., None], colour_HWC.shape)):
        return red_HW
    chroma_HW = colour_HWC.max(-1) - colour_HWC.min(-1)
    full = np.iinfo(colour_HWC.dtype).max
    if np.mean(chroma_HW > _VIVID / 255 * full) > _VIVID_SHARE:
        raise Quarantined("unsupported", "a colour photograph")
    luminance_HW: Pixels = ((colour_HWC @ _LUMINANCE + 500) // 1000).astype(colour_HWC.dtype)
    return luminance_HW


def read_mask(path: Path, limits: Limits) -> NDArray[np.uint8]:
    """Read a label map HxW of class indices, gray levels or palette entries. Raises Quarantined otherwise."""
    with _opened(path, limits) as image:
        if image.mode not in ("L", "P", *_GRAY16):
            raise Quarantined("mask_mismatch", "a mask must have one channel of class indices")
        mask_HW = np.asarray(image)
        if int(mask_HW.max()) > np.iinfo(np.uint8).max or int(mask_HW.min()) < 0:
            raise Quarantined("mask_mismatch", "it holds class indices that the study does not have")
        return mask_HW.astype(np.uint8)
