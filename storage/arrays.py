"""Zarr v3 groups for pixels in batches and windows: caches of fixed shape, always rebuilt from the shards.

A group is written whole by one writer (`writing_group`), so no two ever meet in a chunk. Chunks have a
crc32c each and lie in files of their own, or many in one Zarr shard, whose index has one too; an absent file is
an error whenever it is read, not zeros. The same pixels give the same bytes. The group's own attributes list the
checksums of all its files, and its zarr.json is sealed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
from zarr.core.sync import sync
from zarr.storage import LocalStore

from storage.atomic import json_bytes, new_folder
from storage.errors import StorageError
from storage.seal import BLANK, as_json, file_sum, folder_sums, from_json, read_sealed_json, sealed

GROUP = "zarr.json"


@contextmanager
def writing_group(path: Path) -> Iterator[Path]:
    """Yield a temporary group for `create_array`; it becomes `path`, or goes away with an exception."""
    with new_folder(path) as folder:
        zarr.create_group(folder, zarr_format=3)
        try:
            yield folder
        except BaseException:
            sync(_settled())
            raise
        _seal(folder)


async def _settled() -> None:
    """Wait for the chunks that Zarr still writes after one has failed: a late one would bring the folder back."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.gather(*others, return_exceptions=True)


def create_array(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: DTypeLike,
    attributes: Mapping[str, Any],
    shards: tuple[int, ...] | None = None,
) -> zarr.Array:
    """Make an array in the group at `path`, to be filled by slices along whole chunks, or whole Zarr shards.

    attributes: JSON values, by name. Chunks are capped at the shape. shards: multiples of the chunks that
    share a file; None is a file per chunk.
    """
    chunks = tuple(max(1, min(pair)) for pair in zip(chunks, shape, strict=True))
    if shards is not None:
        shards = tuple(ceil(shard / chunk) * chunk for shard, chunk in zip(shards, chunks, strict=True))
    return zarr.create_array(
        path,
        name=name,
        shape=shape,
        chunks=chunks,
        shards=shards,
        dtype=np.dtype(dtype),
        filters=None,
        serializer=BytesCodec(),
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        fill_value=0,
        attributes=dict(attributes),
        zarr_format=3,
        config={"write_empty_chunks": True},
    )


class StoredArray:
    """An array to be read by slices, as numpy is; StorageError where what is read is missing or damaged."""

    def __init__(self, path: Path, array: zarr.Array) -> None:
        """Use `open_array`."""
        self.path = path
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.attrs: dict[str, Any] = dict(array.attrs)
        self._array = array

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._array[selection])
        except (ValueError, RuntimeError) as error:  # of the checksum, and of blosc
            raise StorageError(
                f"{self.path} is damaged: {error}; remove the folder to have it rebuilt."
            ) from error


def open_array(path: Path, name: str) -> StoredArray:
    """Open an array for reading; StorageError where it or a chunk of it is missing, or what describes it is damaged."""
    place = path / name
    _check_description(path, name)
    try:
        array = zarr.open_array(_Complete(place, read_only=True), mode="r", zarr_format=3)
    except (FileNotFoundError, ValueError) as error:
        raise StorageError(
            f"{path} has no whole array {name}; remove the folder to have it rebuilt."
        ) from error
    expected = prod(
        ceil(side / part) for side, part in zip(array.shape, array.shards or array.chunks, strict=True)
    )
    absent = expected - sum(file.is_file() for file in (place / "c").rglob("*"))
    if absent:
        raise StorageError(
            f"{place} lacks {absent} of {expected} chunks; remove the folder to have it rebuilt."
        )
    return StoredArray(place, array)


def _check_description(path: Path, name: str) -> None:
    """A flipped bit in an array's zarr.json moves its chunks' names or its shape; the sealed group has its checksum."""
    described = f"{name}/{GROUP}"
    try:
        sums = from_json(read_sealed_json(path / GROUP)["attributes"]["checksums"])
        whole = file_sum(path / described) == sums[described]
    except (OSError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise StorageError(f"{path} has no whole array {name}; remove the folder to have it rebuilt.")


class _Complete(LocalStore):  # type: ignore[misc]
    """A folder in which an absent chunk is an error: to zarr it would be an array of zeros."""

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        value = await super().get(key, *arguments, **options)
        if value is None and key != GROUP:
            raise StorageError(f"{self.root / key} is missing; remove {self.root.parent} to have it rebuilt.")
        return value


def _seal(folder: Path) -> None:
    group = json.loads((folder / GROUP).read_bytes())
    group["attributes"] = {"checksums": as_json(folder_sums(folder, without=GROUP)), "seal": BLANK}
    (folder / GROUP).write_bytes(sealed(json_bytes(group)))
