"""What the guarded child does with one file: look at it, decode and encode its films, read a mask or a stored film."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from pipelines.ingest.amend import amended
from pipelines.ingest.fingerprint import fingerprint
from pipelines.ingest.near import small
from pipelines.ingest.overrides import Override
from storage.codec import decode, encode, encode_png
from storage.dicom import looks_like_dicom, read_dicom, read_dicom_header
from storage.errors import Quarantined, StorageError, lost_file
from storage.page_cache import drop_pages_of
from storage.radiograph import Header, Limits, Pixels, Radiograph, RadiographMeta
from storage.raster import looks_like_raster, read_mask, read_raster, read_raster_header
from storage.seal import blocks, file_sum
from storage.shards import read_member
from storage.thumbnail import Gray

_HEAD_BYTES = 512
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ")


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file that may hold films."""

    sha256: str
    header: Header
    crc32c: int | None = None  # tells much faster than the other whether the file is still the same


@dataclass(frozen=True, slots=True)
class Encoded:
    """One film, ready for a shard."""

    data: bytes
    codec: str
    pixels_sha256: str
    height: int
    width: int
    bits: int
    meta: RadiographMeta
    valid_png: bytes | None  # the mask of valid pixels, 255; None where all are
    phash: str  # 1024 bits, for near duplicates


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a file or a frame is left out."""

    reason: str
    detail: str


Found = Inspected | Refused


def inspect_file(path: Path, limits: Limits) -> Inspected:
    """Tell what a file is by its content and read its header. Raises Quarantined where it holds no film."""
    header = read_header(path, limits)
    sha256, crc32c = _digests(path)
    return Inspected(sha256, header, crc32c)


def read_header(path: Path, limits: Limits) -> Header:
    """The header alone, without reading the pixels' bytes. Raises Quarantined where it holds no film."""
    head = _head(path, limits)
    if looks_like_dicom(head):
        return read_dicom_header(path, limits)
    if looks_like_raster(head):
        return read_raster_header(path, limits)
    if head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
        raise Quarantined("not_an_image", "an archive; unpack it first")
    raise Quarantined("not_an_image", "neither DICOM nor PNG, JPEG or TIFF")


def digest_file(path: Path, limits: Limits) -> str:
    """SHA-256 of a regular file within the limits. Raises Quarantined."""
    if not looks_like_raster(_head(path, limits)):
        raise Quarantined("not_an_image", "a mask must be a PNG file")
    return _digests(path)[0]


def encode_films(
    path: Path,
    crc32c: int | None,
    chosen: Sequence[int],
    override: Override,
    limits: Limits,
    codec: str,
) -> list[Encoded | Refused]:
    """Decode a file that `inspect_file` let through and encode it, one entry per chosen frame.

    crc32c: of the file as it was then, where that is known. Raises Quarantined.
    """
    head = _head(path, limits)
    if crc32c is not None and _crc32c(path) != crc32c:
        raise Quarantined("vanished", "the file changed while it was read")
    read = read_dicom if looks_like_dicom(head) else read_raster
    films = read(path, limits, chosen)
    drop_pages_of(path)
    return [_encoded(*amended(film, override), codec) for film in films]


def encode_mask(path: Path, sha256: str, shape: tuple[int, int], num_classes: int, limits: Limits) -> bytes:
    """Read a label map HxW of class indices below num_classes as PNG bytes. Raises Quarantined."""
    if _digests(path)[0] != sha256:
        raise Quarantined("vanished", "the file changed while it was read")
    mask_HW = read_mask(path, limits)
    if mask_HW.shape != shape:
        raise Quarantined("mask_mismatch", "its size is not that of the film")
    if int(mask_HW.max()) >= num_classes:
        raise Quarantined("mask_mismatch", "it holds class indices that the study does not have")
    if not mask_HW.any():
        raise Quarantined("blank")
    return encode_png(mask_HW)


def shrink_stored(path: Path, offset: int, size: int, crc32c: int, codec: str) -> Gray:
    """A film of a shard at 128 x 128; StorageError where it is damaged."""
    return small(decode(read_member(path, offset, size, crc32c), codec))


def _encoded(film: Radiograph, small_HW: Gray, codec: str) -> Encoded | Refused:
    """small_HW: the film, shrunk."""
    height, width = film.pixels.shape
    if small_HW.min() == small_HW.max() and film.pixels.min() == film.pixels.max():
        return Refused("blank", "")
    pixels_HW: Pixels = np.ascontiguousarray(film.pixels)  # type: ignore[assignment]
    digest = hashlib.sha256(f"{height}x{width} {pixels_HW.dtype.name}\n".encode())
    digest.update(pixels_HW.data)
    jpeg = _own_jpeg(film)
    data, codec = (jpeg, "jpeg") if jpeg is not None else (encode(pixels_HW, codec), codec)
    valid_png = None if film.valid is None else encode_png(film.valid.astype(np.uint8) * np.uint8(255))
    phash = fingerprint(small_HW)
    return Encoded(data, codec, digest.hexdigest(), height, width, film.bits, film.meta, valid_png, phash)


def _own_jpeg(film: Radiograph) -> bytes | None:
    """The source's JPEG where every pixel of the film comes back from it: not if it was turned or inverted."""
    if film.jpeg is None:
        return None
    with suppress(StorageError):
        if np.array_equal(decode(film.jpeg, "jpeg"), film.pixels):
            return film.jpeg
    return None


def _head(path: Path, limits: Limits) -> bytes:
    """The first bytes of a regular file of a bearable size."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Quarantined("not_an_image", "a link to a folder, which is not followed")
        if not stat.S_ISREG(status.st_mode):
            raise Quarantined("not_an_image", "not a regular file")  # opening a pipe would hang
        if status.st_size > limits.max_file_mb * 1e6:
            raise Quarantined("too_large", "more bytes than ingest.max_file_mb")
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise lost_file(error) or Quarantined("unreadable", "the file can't be read") from error


def _digests(path: Path) -> tuple[str, int]:
    """SHA-256 and CRC-32C of a file, read once."""
    sha256, crc32c = hashlib.sha256(), 0
    with _reading():
        for block in blocks(path):
            sha256.update(block)
            crc32c = google_crc32c.extend(crc32c, block)
    return sha256.hexdigest(), crc32c


def _crc32c(path: Path) -> int:
    with _reading():
        return file_sum(path).crc32c


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise lost_file(error) or Quarantined("unreadable", "the file can't be read") from error
