"""A window is the slice of the whole film, wherever it comes from; a damaged cache never reads as zeros."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage import schemas
from storage.codec import encode
from storage.errors import ConfigError, InputError, StorageError
from storage.manifest import Store
from storage.shards import ShardWriter
from storage.tables import empty
from storage.windows import open_cache

SHAPES = {"large": (2311, 1803), "small": (700, 600), "wide": (1100, 4001)}
DEEP = {"large", "small"}


def pixels(key: str) -> NDArray[np.uint16]:
    rng = np.random.default_rng(len(key))
    values = np.add.outer(*(np.arange(side) for side in SHAPES[key])) + rng.integers(0, 9, SHAPES[key])
    return (values % 4096).astype(np.uint16) if key in DEEP else (values % 256).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store, rows = Store.create(tmp_path_factory.mktemp("windows") / "store", "key1"), []
    with ShardWriter(store.root / "shards" / "radiographs-000000-0.tar") as writer:
        for key, (height, width) in SHAPES.items():
            at = writer.add(f"{key}.image.png", encode(pixels(key), "png"))
            row = {"key": key, "height": height, "width": width, "bits": 12 if key in DEEP else 8}
            place = {"codec": "png", "shard": writer.path.name, "pixels_sha256": key} | asdict(at)
            rows.append(dict.fromkeys(schemas.MANIFEST.names) | row | place)
    store.commit(pd.DataFrame(rows), *(empty(schema) for schema in (schemas.ANNOTATIONS, schemas.EXCLUSIONS)))
    return store


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(sorted(SHAPES)), st.sampled_from(["windows", "films"]))
def test_a_window_is_the_slice_of_the_film(store: Store, data: st.DataObject, key: str, kind: str) -> None:
    rows, columns = SHAPES[key]
    y0, x0 = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    height, width = data.draw(st.integers(1, rows - y0)), data.draw(st.integers(1, columns - x0))
    window_HW = open_cache(store, kind).read_window(key, y0, x0, height, width)
    whole_HW = pixels(key)
    assert window_HW.dtype == whole_HW.dtype
    np.testing.assert_array_equal(window_HW, whole_HW[y0 : y0 + height, x0 : x0 + width])


@pytest.mark.parametrize(("kind", "cached"), [("windows", {"large", "wide"}), ("films", DEEP)])
def test_only_what_gains_is_cached_and_only_once(store: Store, kind: str, cached: set[str]) -> None:
    cache = open_cache(store, kind)
    assert cache.cached == cached
    assert {path.name for path in cache.path.iterdir() if path.is_dir()} == cached
    files = [path for path in cache.path.rglob("*") if path.is_file()]
    assert len(files) == 2 * len(cached) + 1  # one of metadata and one of pixels each
    before = cache.path.stat().st_mtime_ns
    assert open_cache(store, kind).path.stat().st_mtime_ns == before
    for key in SHAPES:
        np.testing.assert_array_equal(cache.read_image(key), pixels(key))


def test_a_window_outside_is_a_sentence(store: Store) -> None:
    cache = open_cache(store, "windows")
    for key in ("large", "small"):
        for y0, x0, height, width in ((-1, 0, 5, 5), (0, 0, 5000, 5), (0, 0, 0, 5)):
            with pytest.raises(InputError, match=rf"^A window of film {key} must lie within its .*, but is"):
                cache.read_window(key, y0, x0, height, width)
    with pytest.raises(ConfigError, match=r"^kind must be one of windows, films, but is tiles"):
        open_cache(store, "tiles")


def test_a_lost_or_damaged_file_is_an_error_not_zeros(store: Store, tmp_path: Path) -> None:
    path = open_cache(store, "windows").path / "large" / "c" / "0" / "0"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        with pytest.raises(StorageError, match=rf"^{re.escape(str(path.parents[2]))} is damaged"):
            open_cache(store, "windows").read_window("large", 0, 0, 100, 100)
        path.unlink()
        with pytest.raises(StorageError, match="lacks 1 of 1 chunks"):
            open_cache(store, "windows").read_window("large", 0, 0, 100, 100)
    finally:
        path.write_bytes(whole)
