"""Streaming brings every film once, over all readers, and no damage passes for fewer films."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from storage.codec import decode
from storage.errors import StorageError
from storage.manifest import Store
from storage.streaming import stream_films

KEYS = [f"k{number}" for number in range(10)]


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
@pytest.mark.parametrize("buffer", [1, 4, 100])
def test_every_film_once_over_all_readers(ten_films: Store, parts: int, buffer: int) -> None:
    readers = [list(stream_films(ten_films, 5, 1, part, parts, buffer)) for part in range(parts)]
    films = [film for reader in readers for film in reader]
    assert sorted(film.key for film in films) == KEYS
    for film in films:
        np.testing.assert_array_equal(film.pixels, ten_films.read_image(film.key))


def test_epochs_differ_and_repeat(ten_films: Store) -> None:
    orders = [[film.key for film in stream_films(ten_films, 5, epoch)] for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == KEYS != orders[0]


def test_shards_in_an_object_store(ten_films: Store) -> None:
    remote = fsspec.filesystem("memory")
    remote.put(str(ten_films.root / "shards"), "/bucket/store/shards", recursive=True)
    assert sorted(film.key for film in stream_films(ten_films, 5, url="memory://bucket/store")) == KEYS


def shard(store: Store) -> Path:
    return store.root / "shards" / "radiographs-000001-0.tar"


def test_a_tar_cut_anywhere_is_an_error_not_fewer_films(ten_films: Store) -> None:
    whole = shard(ten_films).read_bytes()
    with tarfile.open(shard(ten_films)) as tar:
        second = [member.offset for member in tar][2]
    ends = {0, 100, 512, second - 1, second, second + 100, second + 512, second + 900}
    for end in sorted(ends):
        shard(ten_films).write_bytes(whole[:end])
        with pytest.raises(
            StorageError, match=rf"^{re.escape(str(shard(ten_films)))} (is not a whole|lacks \d)"
        ):
            list(stream_films(ten_films, 5))


def test_a_flipped_bit_and_a_lost_shard_name_the_file(ten_films: Store) -> None:
    row = ten_films.manifest.set_index("key").loc["k5"]
    data = bytearray(shard(ten_films).read_bytes())
    data[row["offset"] + row["size"] // 2] ^= 1
    decode(bytes(data[row["offset"] : row["offset"] + row["size"]]), row["codec"])  # HTJ2K does not notice
    shard(ten_films).write_bytes(data)
    name = re.escape(str(shard(ten_films)))
    with pytest.raises(StorageError, match=rf"^{name} is damaged: film k5 does not match its checksum"):
        list(stream_films(ten_films, 5))
    shard(ten_films).unlink()
    with pytest.raises(StorageError, match=rf"^{name} is missing"):
        list(stream_films(ten_films, 5))
