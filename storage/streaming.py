"""Films in the order of their shards, for storage where reading here and there is slow: Lustre, object stores.

Webdataset's pipeline over our own opener, checks and decoders: its decoders would lose the upper bits of 16, its
openers take a tar that was cut for a shorter one. Shards are dealt out to the readers whole, so readers differ in
length and an epoch can't be resumed in its middle; where that matters, `storage.reading` is the way.
"""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import fsspec
import numpy as np
import webdataset
from webdataset.tariterators import group_by_keys, tar_file_expander

from storage.codec import SUFFIXES, decode
from storage.errors import StorageError
from storage.manifest import Store
from storage.reading import StoredFilm
from storage.shards import checksum
from storage.wording import counted


class _Expected(NamedTuple):
    """What the manifest says of a film."""

    key: str
    codec: str
    crc32c: int
    height: int
    width: int


def stream_films(
    store: Store,
    seed: int,
    epoch: int = 0,
    part: int = 0,
    parts: int = 1,
    buffer: int = 256,
    url: str | None = None,
) -> Iterator[StoredFilm]:
    """One reader's films of an epoch: its shards in random order, their films shuffled through a buffer.

    Args:
        store: the tables, which say what must come.
        part, parts: this reader among all: rank * workers + worker, of world_size * workers.
        buffer: films, encoded, among which the next one is drawn.
        url: where the store's shards/ lie, if not there, such as s3://bucket/store: anything fsspec opens.

    Raises:
        StorageError: a shard is missing, cut or damaged, or lacks a film of the manifest.
    """
    root, shards = url or str(store.root.resolve()), _expected(store)
    order = np.random.default_rng([seed, epoch]).permutation(sorted(shards))[part::parts].tolist()

    def samples(names: Iterable[str]) -> Iterator[tuple[_Expected, bytes]]:
        for name in names:
            yield from _shard(f"{root}/shards/{name}", shards[name])

    drawn = random.Random(f"{seed} {epoch} {part}")
    pipeline = webdataset.DataPipeline(
        lambda: iter(order),
        samples,
        webdataset.shuffle(buffer, initial=buffer, rng=drawn),
        webdataset.map(_decoded),
    )
    yield from pipeline


def _expected(store: Store) -> dict[str, list[_Expected]]:
    """Shard -> its films."""
    shards: dict[str, list[_Expected]] = {}
    columns = [store.manifest[name].tolist() for name in ("shard", *_Expected._fields)]
    for shard, *film in zip(*columns, strict=True):
        shards.setdefault(shard, []).append(_Expected(*film))
    return shards


def _shard(url: str, expected: list[_Expected]) -> Iterator[tuple[_Expected, bytes]]:
    """The checked members of a tar, all that are expected."""
    missing = {film.key: film for film in expected}
    try:
        with fsspec.open(url, "rb") as stream:
            for sample in group_by_keys(tar_file_expander([{"url": url, "stream": stream}])):
                film = missing.pop(sample["__key__"], None)
                if film is not None:
                    yield film, _checked(url, sample, film)
    except FileNotFoundError:
        raise StorageError(f"{url} is missing; restore it, or run ingest again.") from None
    except (tarfile.TarError, EOFError) as error:
        raise StorageError(f"{url} is not a whole tar; restore it, or run ingest again.") from error
    if missing:
        raise StorageError(
            f"{url} lacks {len(missing)} of {counted(len(expected), 'film')}; restore it, or run ingest again."
        )


def _checked(url: str, sample: dict[str, Any], film: _Expected) -> bytes:
    data = sample.get(f"image.{SUFFIXES.get(film.codec)}")
    if not isinstance(data, bytes) or checksum(data) != film.crc32c:
        raise StorageError(
            f"{url} is damaged: film {film.key} does not match its checksum; restore it, or run ingest again."
        )
    return data


def _decoded(sample: tuple[_Expected, bytes]) -> StoredFilm:
    film, data = sample
    pixels = decode(data, film.codec)
    if pixels.shape != (film.height, film.width):
        raise StorageError(
            f"Film {film.key} must have the shape {(film.height, film.width)}, but has {pixels.shape}."
        )
    return StoredFilm(film.key, pixels)
