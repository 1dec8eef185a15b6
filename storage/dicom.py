"""Radiographs from DICOM files: stored values, modality LUT, polarity; no VOI window, which would lose data.

DICOM is untrusted: kind, syntax and size are checked before anything is decoded; every failure is
Quarantined.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag, Tag

from storage import dicom_meta, valid
from storage.dicom_anatomy import text
from storage.errors import Quarantined, lost_file
from storage.jpeg import stripped
from storage.radiograph import (
    MAX_FRAMES,
    MIN_SIDE_PX,
    Header,
    Limits,
    Pixels,
    Radiograph,
    RadiographMeta,
    check_chosen,
)

_DEFLATED = b"1.2.840.10008.1.2.1.99"  # a whole data set inflated in memory: 300 kB become 700 MB
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_SYNTAXES = {
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"),  # native
    "1.2.840.10008.1.2.5",  # RLE
    *(_JPEG_BASELINE, _JPEG_EXTENDED, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),  # JPEG
    *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),  # JPEG-LS
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),  # JPEG 2000
    *("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),  # HTJ2K
}
_PIXEL_KEYWORDS = [
    *("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *valid.KEYWORDS,
]
# Objects that are no exposures of this study, by their SOP class (PS3.4 B.5) -> the modality that admits them.
_OTHER_OBJECTS = {
    "1.2.840.10008.5.1.4.1.1.7": ("SC", "a secondary capture, which may show a name"),
    "1.2.840.10008.5.1.4.1.1.7.": ("SC", "a secondary capture, which may show a name"),
    "1.2.840.10008.5.1.4.1.1.11.": ("PR", "a presentation state, not an image"),
    "1.2.840.10008.5.1.4.1.1.88.59": ("KO", "a key object selection, not an image"),
    "1.2.840.10008.5.1.4.1.1.88.": ("SR", "a structured report, not an image"),
    "1.2.840.10008.5.1.4.1.1.1.2": ("MG", "a mammogram"),
    "1.2.840.10008.5.1.4.1.1.1.2.": ("MG", "a mammogram"),
}
_NATIVE_LITTLE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_UINT16_MAX = 65535
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
    stored_HW, bits = _stored_values(dataset, frame)
    values_HW, lowest, highest = _modality(stored_HW, bits, dataset)
    if inverted:
        # about the range of the bits, never the image's own maximum: equal exposures stay equal
        values_HW = lowest + highest - values_HW
    kept_bits = max(1, highest.bit_length())
    jpeg = stripped(_encoded(dataset, frame)) if _syntax(dataset) == _JPEG_BASELINE else None
    shown_HW = valid.valid_pixels(dataset, stored_HW)
    return Radiograph(_narrow(values_HW, kept_bits), kept_bits, meta, shown_HW, jpeg)


def _syntax(dataset: pydicom.Dataset) -> str:
    return str(dataset.file_meta.TransferSyntaxUID)


def _encoded(dataset: pydicom.Dataset, frame: int) -> bytes:
    """A frame as it was compressed."""
    return get_frame(dataset.PixelData, frame, number_of_frames=dicom_meta.num_frames(dataset))


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
    _check_kind(dataset, limits)
    _check_size(dataset, limits)
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


def _check_kind(dataset: pydicom.Dataset, limits: Limits) -> None:
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        native = {(True, True): "1.2.840.10008.1.2", (False, True): "1.2.840.10008.1.2.1"}
        syntax = native.get((bool(implicit), bool(little)), "1.2.840.10008.1.2.2")
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    if text(dataset, "Modality").upper() not in limits.modalities:
        raise Quarantined("wrong_modality", "the modality is not among ingest.modalities")
    _check_object(text(dataset, "SOPClassUID"), limits)
    if dataset.file_meta.TransferSyntaxUID not in _SYNTAXES:
        raise Quarantined("unsupported", "the transfer syntax is not supported")
    if "Rows" not in dataset or "Columns" not in dataset:
        raise Quarantined("not_an_image", "a DICOM object without pixels")
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise Quarantined("unsupported", "a colour image")
    if text(dataset, "PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise Quarantined("unsupported", "neither MONOCHROME1 nor MONOCHROME2")
    if int(dataset.BitsAllocated) not in (8, 16):
        raise Quarantined("unsupported", "neither 8 nor 16 bits per pixel")


def _check_object(sop_class: str, limits: Limits) -> None:
    """Refuse what claims a radiograph's modality and is none; a dot at the end stands for all classes below."""
    for known, (modality, what) in _OTHER_OBJECTS.items():
        if sop_class.startswith(known) if known.endswith(".") else sop_class == known:
            if modality not in limits.modalities:
                raise Quarantined("wrong_modality", f"{what} ({modality} is not among ingest.modalities)")
            return


def _check_size(dataset: pydicom.Dataset, limits: Limits) -> None:
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if min(rows, columns) < MIN_SIDE_PX:
        raise Quarantined("too_small")
    if rows * columns > limits.max_megapixels * 1e6:
        raise Quarantined("too_large", "more pixels than ingest.max_megapixels")
    if dicom_meta.num_frames(dataset) > MAX_FRAMES:
        raise Quarantined("too_large", "more frames than any loop has")


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


def _stored_values(dataset: pydicom.Dataset, frame: int) -> tuple[NDArray[np.integer], int]:
    """Stored values HW of a frame and how many bits they have."""
    frames, rows, columns = dicom_meta.num_frames(dataset), int(dataset.Rows), int(dataset.Columns)
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    spare_bits = int(dataset.get("HighBit") or bits - 1) + 1 - bits
    if not 1 <= bits <= bits + spare_bits <= int(dataset.BitsAllocated):
        raise Quarantined("unreadable", "the bits stored do not fit the bits allocated")
    plain = _is_plain(dataset, frames * rows * columns)
    if plain:
        stored = _plain(dataset, frame, rows * columns, bits + spare_bits)
    elif _syntax(dataset) == _JPEG_EXTENDED:  # pydicom's plugins do not decode it at 12 bits
        stored, spare_bits = imagecodecs.jpeg_decode(_encoded(dataset, frame)), 0
    else:
        stored = _by_pydicom(dataset, frame, bits + spare_bits)
    if spare_bits:
        stored = stored >> spare_bits
    stored = stored if plain else _within(stored, bits, _is_signed(dataset))
    return stored.reshape(rows, columns), bits


def _by_pydicom(dataset: pydicom.Dataset, frame: int, bits: int) -> NDArray[np.integer]:
    kept = dataset.BitsStored
    dataset.BitsStored = bits  # pydicom keeps the lowest, but the values end at HighBit
    try:
        stored: NDArray[np.integer] = pixel_array(dataset, index=frame)
    finally:
        dataset.BitsStored = kept  # the next frame asks again
    return stored


def _is_signed(dataset: pydicom.Dataset) -> bool:
    return int(dataset.get("PixelRepresentation") or 0) == 1


def _is_plain(dataset: pydicom.Dataset, pixels: int) -> bool:
    """Whether the pixels are unsigned little-endian words, as many as there should be."""
    size = pixels * int(dataset.BitsAllocated) // 8
    native = dataset.file_meta.TransferSyntaxUID in _NATIVE_LITTLE
    return native and not _is_signed(dataset) and len(dataset.PixelData) == (size + 1) // 2 * 2


def _plain(dataset: pydicom.Dataset, frame: int, pixels: int, bits: int) -> NDArray[np.integer]:
    """The lowest `bits` of each word of a frame, without pydicom's detours."""
    words = np.dtype(f"<u{int(dataset.BitsAllocated) // 8}")
    values = np.frombuffer(dataset.PixelData, words, pixels, offset=frame * pixels * words.itemsize)
    full = bits == 8 * words.itemsize or values.max() < 2**bits
    return values if full else values & words.type(2**bits - 1)


def _within(stored: NDArray[np.integer], bits: int, signed: bool) -> NDArray[np.integer]:
    """Values in the range of their bits, which lossy decoders overshoot a little."""
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    fits = lowest <= stored.min() and stored.max() <= highest
    return stored if fits else stored.clip(lowest, highest)


def _modality(
    stored_HW: NDArray[np.integer], bits: int, dataset: pydicom.Dataset
) -> tuple[NDArray[np.integer], int, int]:
    """Values after the modality LUT (PS3.3 C.11.1), and the lowest and highest that their range allows.

    A rescale that leaves integers in 16 bits is applied, then moved up to 0 if it goes below. Of any other,
    only the sign matters: a radiograph's values have no unit.
    """
    if "ModalityLUTSequence" in dataset:
        return _looked_up(stored_HW, dataset.ModalityLUTSequence[0], dataset)
    signed = _is_signed(dataset)
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope = float(dataset.get("RescaleSlope") or 1)
    intercept = float(dataset.get("RescaleIntercept") or 0)
    if not (slope.is_integer() and intercept.is_integer() and (highest - lowest) * abs(slope) <= _UINT16_MAX):
        slope, intercept = np.sign(slope), 0
    first, last = sorted(int(value * slope + intercept) for value in (lowest, highest))
    if first < 0 or last > _UINT16_MAX:
        intercept, first, last = intercept - first, 0, last - first
    if (slope, intercept) == (1, 0):
        return stored_HW, first, last
    return stored_HW.astype(np.int32) * int(slope) + int(intercept), first, last


def _looked_up(
    stored_HW: NDArray[np.integer], lut: pydicom.Dataset, dataset: pydicom.Dataset
) -> tuple[NDArray[np.integer], int, int]:
    """Values through a table of 8 to 16 bits per entry (PS3.3 C.11.1.1); pydicom's own takes only 8 and 16."""
    count, first, entry_bits = (int(value) for value in lut.LUTDescriptor)
    if isinstance(lut.LUTData, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        wide = len(lut.LUTData) >= 2 * (count or 2**16)
        table = np.frombuffer(lut.LUTData, f"{order}u2" if wide else "u1")
    else:
        table = np.array(lut.LUTData)
    highest = 2**entry_bits - 1
    if not 8 <= entry_bits <= 16 or len(table) < (count or 2**16) or table.max() > highest:
        raise Quarantined("unreadable", "the modality LUT does not fit its descriptor")
    index_HW = np.clip(stored_HW.astype(np.int32) - first, 0, (count or 2**16) - 1)
    return table.astype(np.int32)[index_HW], 0, highest
