"""Gray images as members of a shard: PNG, HTJ2K or JPEG; the same pixels always give the same bytes.

PNG is read by everything. HTJ2K (JPEG 2000 part 15, reversible) is a fifth to a quarter smaller on real films of
16 bits and takes about twice as long to write; on noise it is no smaller. JPEG is never encoded here: a film that
came as JPEG stays as it came (`storage.jpeg`).
"""

from __future__ import annotations

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from storage.errors import StorageError
from storage.png import decode_up_filtered, encode_up_filtered
from storage.radiograph import Pixels

SUFFIXES = {"png": "png", "jpeg": "jpg", "htj2k": "j2c"}
"""Codec, as the manifest names it -> end of the member's name."""

_NAMES = {"png": "PNG", "jpeg": "JPEG", "htj2k": "HTJ2K codestream"}
_DECODE = {
    "png": imagecodecs.png_decode,
    "jpeg": imagecodecs.jpeg8_decode,
    "htj2k": imagecodecs.htj2k_decode,
}


def encode(pixels: Pixels, codec: str) -> bytes:
    """Encode HxW uint8 or uint16 as png or htj2k, without loss; StorageError for any other array."""
    _check(pixels)
    plane: Pixels = np.ascontiguousarray(pixels)  # type: ignore[assignment]
    if codec == "htj2k":
        # Tiles, and fewer levels than the library's own, were slower on films and no smaller.
        return bytes(imagecodecs.htj2k_encode(plane, reversible=True))
    if codec == "png":
        return encode_up_filtered(plane)
    raise ValueError(f"pixels are encoded as png or htj2k, not {codec}")


def decode(data: bytes, codec: str) -> Pixels:
    """Decode to HxW uint8 or uint16; StorageError where the bytes are damaged or hold anything else."""
    pixels = decode_up_filtered(data) if codec == "png" else None
    if pixels is None:
        pixels = _decode(data, codec)
    _check(pixels)
    return pixels


def encode_png(pixels: Pixels) -> bytes:
    """`encode` as PNG, which masks always are."""
    return encode(pixels, "png")


def decode_png(data: bytes) -> Pixels:
    """`decode` of a PNG."""
    return decode(data, "png")


def _decode(data: bytes, codec: str) -> Pixels:
    if codec not in _DECODE:
        raise StorageError(f"The codec of a film must be one of {', '.join(SUFFIXES)}, but is {codec}.")
    try:
        pixels: Pixels = _DECODE[codec](data)
    except (imagecodecs.DelayedImportError, MemoryError):
        raise
    except Exception as error:  # each codec has its own kind, and some raise plain ValueError or RuntimeError
        raise StorageError(f"A {_NAMES[codec]} in the store can't be decoded: {error}.") from error
    return pixels


def _check(pixels: NDArray[np.generic]) -> None:
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise StorageError(
            f"An image must be HxW of uint8 or uint16, but is {pixels.shape} of {pixels.dtype}."
        )
