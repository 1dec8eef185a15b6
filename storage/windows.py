"""Caches of large films as pixels: windows without decoding the rest, or whole films faster than any codec.

`windows` cuts films above 4 megapixels into tiles; `films` holds every film of more than 8 bits in one piece. Each
film is an array of its own, in one file, at STORE/arrays/<what>-<id>.zarr, where the id tells which films they
are: a generation with other films has another cache. A film that is not in the cache is decoded from its shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from storage.arrays import create_array, open_array, writing_group
from storage.errors import InputError, check_one_of
from storage.manifest import Store
from storage.prefetch import prefetch
from storage.radiograph import Pixels

TILE = 512
KINDS = ("windows", "films")
_LARGE_PX = 4_000_000  # below, decoding the film is as fast as reading a few tiles
_OPEN_ARRAYS = 256  # films whose metadata stay in memory
_FORMAT = "1"


class FilmCache:
    """A store's films by window, from the cache where they are in it."""

    def __init__(self, store: Store, path: Path, cached: set[str]) -> None:
        """Use `open_cache`."""
        self.store = store
        self.path = path
        self.cached = cached
        self._array = lru_cache(_OPEN_ARRAYS)(partial(open_array, path))

    def read_image(self, key: str) -> Pixels:
        """The whole film HxW."""
        if key not in self.cached:
            return self.store.read_image(key)
        whole: Pixels = self._array(key)[:]
        return whole

    def read_window(self, key: str, y0: int, x0: int, height: int, width: int) -> Pixels:
        """The film's pixels [y0, y0 + height) x [x0, x0 + width); InputError unless that lies in the film."""
        film = self._array(key) if key in self.cached else self.store.read_image(key)
        rows, columns = film.shape
        if not (0 <= y0 < y0 + height <= rows and 0 <= x0 < x0 + width <= columns):
            raise InputError(
                f"A window of film {key} must lie within its {rows} x {columns} pixels, "
                f"but is {height} x {width} from ({y0}, {x0})."
            )
        window: Pixels = film[y0 : y0 + height, x0 : x0 + width]
        return window


def open_cache(store: Store, kind: str, progress: Callable[[int, int, str], None] | None = None) -> FilmCache:
    """The cache of the store's generation, built first where there is none. kind: windows or films."""
    check_one_of("kind", kind, KINDS)
    keys, path = _cached(store, kind)["key"].tolist(), cache_path(store, kind)
    if not path.exists():
        _build(store, path, keys, kind, progress)
    return FilmCache(store, path, set(keys))


def cache_path(store: Store, kind: str) -> Path:
    """Where the cache of the store's generation lies, or would lie."""
    return store.root / "arrays" / f"{kind}-{_identity(_cached(store, kind))}.zarr"


def _cached(store: Store, kind: str) -> pd.DataFrame:
    films = store.manifest
    large = films["height"] * films["width"] > _LARGE_PX
    return films[large if kind == "windows" else films["bits"] > 8]


def _identity(films: pd.DataFrame) -> str:
    lines = [_FORMAT, *films["key"].str.cat(films["pixels_sha256"].astype(str), sep=" ")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _build(
    store: Store,
    path: Path,
    keys: list[str],
    kind: str,
    progress: Callable[[int, int, str], None] | None,
) -> None:
    with writing_group(path) as group:
        for done, (key, pixels_HW) in enumerate(prefetch(keys, store.read_image, 1), 1):
            shape = pixels_HW.shape
            chunks, shards = ((TILE, TILE), shape) if kind == "windows" else (shape, None)
            array = create_array(group, key, shape, chunks, pixels_HW.dtype, {}, shards)
            array[:] = np.ascontiguousarray(pixels_HW)
            if progress is not None:
                progress(done, len(keys), kind)
