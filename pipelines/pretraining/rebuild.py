"""Caches made anew from the tars: bone crops of their segmentation, windows and whole films of the store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.pretraining.crops import open_crops
from pipelines.progress import Progress, silent
from pipelines.segmentation import patches, whole
from pipelines.segmentation.stored import open_segmentation
from storage.atomic import remove_folder
from storage.manifest import Store
from storage.windows import KINDS, cache_path, open_cache

_CROPS = re.compile(rf"crops-([0-9a-f]+|{whole.MODEL_ID}|{patches.MODEL_ID})-(\d+)(?:-(\d+)um)?\.zarr")
_FILMS = re.compile(rf"({'|'.join(KINDS)})-[0-9a-f]+\.zarr")


def cache_names(store_root: Path, kinds: Sequence[str]) -> list[str]:
    """The caches that are there; kinds: crops, windows, films."""
    return sorted(path.name for kind in kinds for path in (store_root / "arrays").glob(f"{kind}-*.zarr"))


def rebuild_caches(store_root: Path, names: Sequence[str], progress: Progress = silent) -> list[str]:
    """Remove and rebuild these caches; the names of those made.

    Windows and films of another generation than the live one go for good. Raises InputError where the
    segmentation of a cache of crops is not there; that cache stays.
    """
    made = []
    for name in names:
        if match := _CROPS.fullmatch(name):
            segmentation = open_segmentation(store_root, match[1])
            remove_folder(store_root / "arrays" / name)
            open_crops(store_root, segmentation, int(match[2]), progress, int(match[3] or 0) / 1000)
            made.append(name)
        elif match := _FILMS.fullmatch(name):
            store = Store.open(store_root)
            remove_folder(store_root / "arrays" / name)
            if name == cache_path(store, match[1]).name:
                open_cache(store, match[1], progress)
                made.append(name)
    return made
