"""JPEG files without what they say of a person: the picture as it came, no application data, no comments.

ISO/IEC 10918-1 annex B: a file is a row of segments FF xx, most with a length; after each start of scan
come entropy-coded bytes, in which FF is followed by 00 or by a restart marker.
"""

from __future__ import annotations

_SOI, _EOI, _SOS, _SOF0, _COM = 0xD8, 0xD9, 0xDA, 0xC0, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # starts of frame, baseline and all others
_APPLICATION = range(0xE0, 0xF0)
_KEPT = {_SOF0, _SOS, 0xC4, 0xDB, 0xDD}  # frame, scan, Huffman and quantization tables, restart interval
_IN_SCAN = {0x00, *range(0xD0, 0xD8)}


def stripped(data: bytes) -> bytes | None:
    """A baseline JPEG of one component and 8 bits, its picture alone; None where the bytes are anything else.

    What follows the end of the picture is dropped as well. Of the segments before, only those that a decoder of
    one component needs stay: not even JFIF's, whose thumbnail would be another picture.
    """
    try:
        return _stripped(data)
    except IndexError:  # the bytes end too early
        return None


def _stripped(data: bytes) -> bytes | None:
    if data[:2] != bytes((0xFF, _SOI)):
        return None
    kept, position, frames = [data[:2]], 2, 0
    while True:
        marker, position = _marker(data, position)
        if marker == _EOI:
            return b"".join([*kept, bytes((0xFF, _EOI))]) if frames == 1 else None
        end = position + int.from_bytes(data[position : position + 2], "big")
        if marker in _FRAMES:
            precision, components = data[position + 2], data[position + 7]
            if (marker, precision, components) != (_SOF0, 8, 1):
                return None
            frames += 1
        if marker == _SOS:
            end = _end_of_scan(data, end)
        if marker in _KEPT:
            kept.append(bytes((0xFF, marker)) + data[position:end])
        elif marker not in _APPLICATION and marker != _COM:
            return None
        position = end


def _marker(data: bytes, position: int) -> tuple[int, int]:
    """The marker at a position and where its segment's length stands; IndexError where there is none."""
    if data[position] != 0xFF:
        raise IndexError
    while data[position] == 0xFF:  # any number of FF may come before the marker
        position += 1
    return data[position], position + 1


def _end_of_scan(data: bytes, position: int) -> int:
    """Where the marker after the entropy-coded bytes begins."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            raise IndexError
        if data[position + 1] not in _IN_SCAN:
            return position
        position += 2
