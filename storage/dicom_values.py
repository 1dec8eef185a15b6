"""The pixels of a DICOM file as numbers: stored values, and what the modality LUT makes of them."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array

from storage import dicom_meta
from storage.errors import Quarantined

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_NATIVE_LITTLE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_UINT16_MAX = 65535


def syntax(dataset: pydicom.Dataset) -> str:
    """Transfer syntax UID: how the pixels are compressed, if they are."""
    return str(dataset.file_meta.TransferSyntaxUID)


def encoded(dataset: pydicom.Dataset, frame: int) -> bytes:
    """A frame as it was compressed."""
    return get_frame(dataset.PixelData, frame, number_of_frames=dicom_meta.num_frames(dataset))


def stored_values(dataset: pydicom.Dataset, frame: int) -> tuple[NDArray[np.integer], int]:
    """Stored values HW of a frame and how many bits they have."""
    frames, rows, columns = dicom_meta.num_frames(dataset), int(dataset.Rows), int(dataset.Columns)
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    spare_bits = int(dataset.get("HighBit") or bits - 1) + 1 - bits
    if not 1 <= bits <= bits + spare_bits <= int(dataset.BitsAllocated):
        raise Quarantined("unreadable", "the bits stored do not fit the bits allocated")
    plain = _is_plain(dataset, frames * rows * columns)
    if plain:
        stored = _plain(dataset, frame, rows * columns, bits + spare_bits)
    elif syntax(dataset) == JPEG_EXTENDED:  # pydicom's plugins do not decode it at 12 bits
        stored, spare_bits = imagecodecs.jpeg_decode(encoded(dataset, frame)), 0
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


def modality_values(
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
