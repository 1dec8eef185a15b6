"""Zarr v3 groups for pixels in batches and windows: caches of fixed shape, always rebuilt from the shards.

A group is written whole by one writer (`writing_group`), so no two ever meet in a chunk. Every chunk lies in
its own file with a crc32c; a missing one is an error, not zeros. The same pixels give the same bytes. The
group's own attributes list the checksums of all its files, and its zarr.json is sealed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

from storage.atomic import json_bytes, new_folder
from storage.errors import StorageError
from storage.seal import BLANK, as_json, folder_sums, sealed

GROUP = "zarr.json"


@contextmanager
def writing_group(path: Path) -> Iterator[Path]:
    """Yield a temporary group for `create_array`; it becomes `path`, or goes away with an exception."""
    with new_folder(path) as folder:
        zarr.create_group(folder, zarr_format=3)
        yield folder
        _seal(folder)


def create_array(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: DTypeLike,
    attributes: Mapping[str, Any],
) -> zarr.Array:
    """Make an array in the group at `path`, to be filled by slices along whole chunks.

    attributes: JSON values, by name. Chunks are capped at the shape.
    """
    return zarr.create_array(
        path,
        name=name,
        shape=shape,
        chunks=tuple(max(1, min(pair)) for pair in zip(chunks, shape, strict=True)),
        dtype=np.dtype(dtype),
        filters=None,
        serializer=BytesCodec(),
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        fill_value=0,
        attributes=dict(attributes),
        zarr_format=3,
        config={"write_empty_chunks": True},
    )


def open_array(path: Path, name: str) -> zarr.Array:
    """Open an array for reading; StorageError where it or a chunk of it is missing."""
    try:
        array = zarr.open_array(path / name, mode="r", zarr_format=3)
    except (FileNotFoundError, ValueError) as error:
        raise StorageError(
            f"{path} has no whole array {name}; remove the folder to have it rebuilt."
        ) from error
    absent = array.nchunks - array.nchunks_initialized
    if absent:
        raise StorageError(
            f"{path / name} lacks {absent} of {array.nchunks} chunks; remove the folder to have it rebuilt."
        )
    return array


def _seal(folder: Path) -> None:
    group = json.loads((folder / GROUP).read_bytes())
    group["attributes"] = {"checksums": as_json(folder_sums(folder, without=GROUP)), "seal": BLANK}
    (folder / GROUP).write_bytes(sealed(json_bytes(group)))
