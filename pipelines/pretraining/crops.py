"""Bone crops as squares of one size: a Zarr cache of images and masks, rebuilt with the segmentation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import Segmentation
from storage.arrays import create_array, open_array, writing_group
from storage.atomic import remove_folder
from storage.errors import StorageError

CHUNK, BLOCK, ZARR_SHARD = 16, 64, 512  # crops: decoded, read and written at a time
_FORMAT = "2"
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Crops:
    """The regions found in a store's films, as squares; row i of the table is row i of both arrays."""

    rows: pd.DataFrame
    """schemas.REGION_INDEX, found regions only."""
    path: Path

    def load(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images NSS and masks NSS (0 or 1) of these rows, in this order."""
        images, masks = (open_array(self.path, name) for name in ("image", "mask"))
        side = images.shape[1]
        loaded = np.empty((2, len(chosen), side, side), np.uint8)
        for start in range(0, len(self.rows), BLOCK):
            (place,) = np.nonzero((chosen >= start) & (chosen < start + BLOCK))
            if len(place):
                inner = chosen[place] - start
                loaded[0, place] = images[start : start + BLOCK][inner]
                loaded[1, place] = masks[start : start + BLOCK][inner]
        return loaded[0], loaded[1]


def open_crops(store_root: Path, segmentation: Segmentation, size: int, progress: Progress = silent) -> Crops:
    """The cache STORE/arrays/crops-<model_id>-<size>.zarr, built first if absent or of other regions."""
    rows = segmentation.regions
    rows = rows[rows["found"]].reset_index(drop=True)
    path = store_root / "arrays" / f"crops-{segmentation.model_id}-{size}.zarr"
    digest = fingerprint(rows)
    if not _is_current(path, digest):
        remove_folder(path)
        _build(path, segmentation, rows, size, digest, progress)
    return Crops(rows, path)


def square_crop(
    image_HW: NDArray[np.uint8] | NDArray[np.uint16], mask_HW: NDArray[np.bool_], size: int
) -> NDArray[np.uint8]:
    """Image and mask (0 or 1), 2SS, of one region, fitted into the middle of a square, proportions kept.

    The gray values inside the mask, from percentile 0.5 to 99.5, are stretched to 0..255: a film's own gray
    scale depends on exposure and display. What lies around the bone stays in the image, to interpolate with.
    """
    low, high = np.percentile(image_HW[mask_HW], _PERCENTILES)
    stretched_HW = np.clip((image_HW.astype(np.float32) - low) * (255 / max(high - low, 1)), 0, 255)
    height, width = image_HW.shape
    scale = size / max(height, width)
    new_height, new_width = (max(1, round(side * scale)) for side in (height, width))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = [
        cv2.resize(plane, (new_width, new_height), interpolation=method)
        for plane in (stretched_HW, mask_HW.astype(np.float32))
    ]
    y0, x0 = (size - new_height) // 2, (size - new_width) // 2
    square_2SS = np.zeros((2, size, size), np.uint8)
    square_2SS[0, y0 : y0 + new_height, x0 : x0 + new_width] = np.rint(resized[0])
    square_2SS[1, y0 : y0 + new_height, x0 : x0 + new_width] = resized[1] >= 0.5
    return square_2SS


def fingerprint(rows: pd.DataFrame) -> str:
    """SHA-256 of which regions these are, down to their bytes, and of the way they are prepared."""
    columns = rows[["key", "region", "image_crc32c", "mask_crc32c"]].astype(str)
    lines = [_FORMAT, *columns.agg("|".join, axis=1)] if len(rows) else [_FORMAT]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _is_current(path: Path, digest: str) -> bool:
    try:
        return all(open_array(path, name).attrs.get("regions") == digest for name in ("image", "mask"))
    except StorageError:
        return False


def _build(
    path: Path, segmentation: Segmentation, rows: pd.DataFrame, size: int, digest: str, progress: Progress
) -> None:
    shape, chunks, shards = (len(rows), size, size), (CHUNK, size, size), (ZARR_SHARD, size, size)
    with writing_group(path) as group:
        attributes = {"regions": digest}
        arrays = [
            create_array(group, name, shape, chunks, np.uint8, attributes, shards)
            for name in ("image", "mask")
        ]
        for start in range(0, len(rows), ZARR_SHARD):
            stop = min(start + ZARR_SHARD, len(rows))
            block_N2SS = np.stack(
                [square_crop(*segmentation.read_region(rows.iloc[row]), size) for row in range(start, stop)]
            )
            for array, planes_NSS in zip(arrays, (block_N2SS[:, 0], block_N2SS[:, 1]), strict=True):
                array[start:stop] = planes_NSS
            progress(stop, len(rows), "crops")
