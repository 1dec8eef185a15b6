"""Caches of bone crops made anew from the tars of their segmentation."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.pretraining.crops import open_crops
from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import open_segmentation
from storage.atomic import remove_folder

_CROPS = re.compile(r"crops-([0-9a-f]+)-(\d+)\.zarr")


def rebuild_crops(store_root: Path, names: list[str] | None = None, progress: Progress = silent) -> list[str]:
    """Remove and rebuild these caches, or all of STORE/arrays/crops-*; the names of those made."""
    made = []
    for name in (
        names if names is not None else sorted(path.name for path in (store_root / "arrays").glob("crops-*"))
    ):
        match = _CROPS.fullmatch(name)
        if match is None:
            continue
        segmentation = open_segmentation(store_root, match[1])
        remove_folder(store_root / "arrays" / name)
        open_crops(store_root, segmentation, int(match[2]), progress)
        made.append(name)
    return made
