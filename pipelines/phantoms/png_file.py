"""PNG with text chunks that say it is a phantom, and whose."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from pipelines.phantoms.arrays import Pixels
from storage.codec import encode_png

SIGNATURE_AND_HEADER_BYTES = 8 + 25


def phantom_png(pixels: Pixels, patient_id: str, laterality: str) -> bytes:
    """Encode HxW uint8 or uint16; tEXt chunks data_kind, patient_id and laterality follow the header."""
    text = {"data_kind": "phantom", "patient_id": patient_id, "laterality": laterality}
    return with_text(encode_png(pixels), text)


def with_text(png: bytes, text: Mapping[str, str]) -> bytes:
    """Insert tEXt chunks (PNG specification, 11.3.3.2) after the IHDR chunk."""
    chunks = b"".join(_chunk(f"{key}\0{value}".encode("latin-1")) for key, value in text.items())
    return png[:SIGNATURE_AND_HEADER_BYTES] + chunks + png[SIGNATURE_AND_HEADER_BYTES:]


def _chunk(payload: bytes) -> bytes:
    body = b"tEXt" + payload
    return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))
