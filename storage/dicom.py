"""Radiographs from DICOM files: stored values, modality LUT, polarity; no VOI window, which would lose data.

DICOM is untrusted: kind, syntax and size are checked before anything is decoded; every failure is
Quarantined.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.tag import BaseTag, Tag

from storage import dicom_meta, valid
from storage.dicom_anatomy import text
from storage.dicom_gate import check_kind, check_size
from storage.dicom_values import JPEG_BASELINE, encoded, modality_values, stored_values, syntax
from storage.errors import Quarantined, lost_file
from storage.jpeg import stripped
from storage.radiograph import (
    Header,
    Limits,
    Pixels,
    Radiograph,
    RadiographMeta,
    check_chosen,
)

_PIXEL_KEYWORDS = [
    *("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *valid.KEYWORDS,
]
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # a whole data set inflated in memory: 300 kB become 700 MB
_HEAD_BYTES = 1 << 16
# As tags, which pydicom would make of the keywords anew for each file.
_HEADER_TAGS = [Tag(keyword) for keyword in dicom_meta.KEYWORDS]
_ALL_TAGS = [*_HEADER_TAGS, *map(Tag, _PIXEL_KEYWORDS)]


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file begins as DICOM does: DICM after 128 bytes, or a first element of group 0002 or 0008."""
    if head[128:132] == b"DICM":
        return True
    group, element = head[:2], head[2:4]
    little = group in (b"\x02\x00", b"\x08\x00") and element[1:] == b"\x00"
    big = group in (b"\x00\x02", b"\x00\x08") and element[:1] == b"\x00"
    return len(head) > 16 and (little or big)


def read_dicom_header(path: Path, limits: Limits) -> Header:
    """Read who and how much, no pixels. Raises Quarantined for what `read_dicom` refuses undecoded."""
    with _quarantining("the DICOM header is damaged"):
        return dicom_meta.header(_open(path, limits, _HEADER_TAGS, stop_before_pixels=True))


def read_dicom(path: Path, limits: Limits, chosen: Sequence[int] | None = None) -> list[Radiograph]:
    """Decode a file into one radiograph per chosen frame, counted from 0; None is all.

    A frame that is not chosen is not decoded. Raises Quarantined for anything else.
    """
    with _quarantining("the DICOM header is damaged"):
        dataset = _open(path, limits, _ALL_TAGS, stop_before_pixels=False)
        if "PixelData" not in dataset:
            raise Quarantined("unreadable", "the pixels are missing")
        inverted, flag = _polarity(dataset)
        meta = dicom_meta.metadata(dataset, flag)
        frames = range(dicom_meta.num_frames(dataset)) if chosen is None else chosen
        check_chosen(len(frames) * int(dataset.Rows) * int(dataset.Columns), limits)
    with _quarantining("the pixels can't be decoded"):
        return [_film(dataset, frame, inverted, meta) for frame in frames]


def _film(dataset: pydicom.Dataset, frame: int, inverted: bool, meta: RadiographMeta) -> Radiograph:
    stored_HW, bits = stored_values(dataset, frame)
    values_HW, lowest, highest = modality_values(stored_HW, bits, dataset)
    if inverted:
        # about the range of the bits, never the image's own maximum: equal exposures stay equal
        values_HW = lowest + highest - values_HW
    kept_bits = max(1, highest.bit_length())
    jpeg = stripped(encoded(dataset, frame)) if syntax(dataset) == JPEG_BASELINE else None
    shown_HW = valid.valid_pixels(dataset, stored_HW)
    return Radiograph(_narrow(values_HW, kept_bits), kept_bits, meta, shown_HW, jpeg)


def _narrow(values_HW: NDArray[np.integer], bits: int) -> Pixels:
    return values_HW.astype(np.uint8, copy=False) if bits <= 8 else values_HW.astype(np.uint16, copy=False)


@contextmanager
def _quarantining(detail: str) -> Iterator[None]:
    """Turn any exception of the decoders into Quarantined; their messages and warnings hold header values."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Quarantined, MemoryError):
        raise
    except Exception as error:
        raise lost_file(error) or Quarantined("unreadable", detail) from error


def _open(path: Path, limits: Limits, tags: list[BaseTag], *, stop_before_pixels: bool) -> pydicom.Dataset:
    with path.open("rb") as file:
        if _DEFLATED in file.read(_HEAD_BYTES):
            raise Quarantined("unsupported", "the transfer syntax is deflated")
        file.seek(0)
        with _whole():
            dataset = pydicom.dcmread(
                file, force=True, stop_before_pixels=stop_before_pixels, specific_tags=[*tags]
            )
    check_kind(dataset, limits)
    check_size(dataset, limits)
    return dataset


@contextmanager
def _whole() -> Iterator[None]:
    """Refuse a file that ends within compressed pixels: pydicom warns, and drops what stands before them too."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "(End|Unexpected end) of file", UserWarning)
            yield
    except UserWarning as warning:
        raise Quarantined("unreadable", "the file is cut short") from warning


def _polarity(dataset: pydicom.Dataset) -> tuple[bool, str]:
    """Whether to invert, and the flag.

    The LUT shape must go with the photometric interpretation (PS3.3 C.11.6), and the pair means one
    inversion; where they disagree, the shape is more often wrong, and `polarity.settled` asks the content.
    """
    inverted = text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    shape = text(dataset, "PresentationLUTShape")
    if shape == ("IDENTITY" if inverted else "INVERSE"):
        return inverted, "conflict"
    return inverted, "inverted" if inverted else ""
