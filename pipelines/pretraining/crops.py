"""Bone crops as squares of one size: a Zarr cache of images and masks, rebuilt with the segmentation."""

from __future__ import annotations

import hashlib
import logging
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
from storage.errors import InputError, StorageError
from storage.manifest import Store

CHUNK, BLOCK, ZARR_SHARD = 16, 64, 512  # crops: decoded, read and written at a time
_FORMAT = "2"
_PERCENTILES = (0.5, 99.5)
_log = logging.getLogger(__name__)

Floats = NDArray[np.float64]


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
        for start in (np.unique(chosen // BLOCK) * BLOCK).tolist():
            (place,) = np.nonzero((chosen >= start) & (chosen < start + BLOCK))
            inner = chosen[place] - start
            loaded[0, place] = images[start : start + BLOCK][inner]
            loaded[1, place] = masks[start : start + BLOCK][inner]
        return loaded[0], loaded[1]


def open_crops(
    store_root: Path,
    segmentation: Segmentation,
    size: int,
    progress: Progress = silent,
    mm_per_pixel: float = 0.0,
) -> Crops:
    """The cache STORE/arrays/crops-<model_id>-<size>[-<micrometres>um].zarr, built first if absent or of other regions.

    mm_per_pixel: of every crop, to whole micrometres; films whose pixel spacing is unknown are then left out.
    InputError where that is all of them. 0 fits each region into its square.
    """
    rows = segmentation.regions
    rows = rows[rows["found"]].reset_index(drop=True)
    name, scale_N = f"crops-{segmentation.model_id}-{size}", None
    if micrometres := round(1000 * mm_per_pixel):
        name += f"-{micrometres}um"
        rows, scale_N = _known_scales(Store.open(store_root), rows, micrometres)
    path = store_root / "arrays" / f"{name}.zarr"
    digest = fingerprint(rows, scale_N)
    if not _is_current(path, digest):
        remove_folder(path)
        _build(path, segmentation, rows, scale_N, size, digest, progress)
    return Crops(rows, path)


def scales(store: Store, rows: pd.DataFrame, micrometres: float) -> Floats:
    """Of each region (N) how many pixels of a crop, of so many micrometres, a pixel of its film takes.

    NaN where the film's pixel spacing is unknown.
    """
    spacing_mm = rows["key"].map(store.manifest.set_index("key")["spacing_mm"]).astype("float64")
    scale_N: Floats = np.asarray(spacing_mm.where(spacing_mm > 0), np.float64) * 1000 / micrometres
    return scale_N


def _known_scales(store: Store, rows: pd.DataFrame, micrometres: int) -> tuple[pd.DataFrame, Floats]:
    """Regions of films with a known spacing, and the scale of each."""
    scale_N = scales(store, rows, micrometres)
    known = ~np.isnan(scale_N)
    if len(rows) and not known.any():
        raise InputError(
            f"None of the {rows['key'].nunique()} films tells its pixel spacing, which "
            "pretraining.crop_mm_per_pixel needs; set it to 0, which fits each bone into its square."
        )
    if not known.all():
        _log.warning("%d of %d regions have no pixel spacing and are left out.", (~known).sum(), len(known))
    return rows[known].reset_index(drop=True), scale_N[known]


def square_crops(
    segmentation: Segmentation, rows: pd.DataFrame, size: int, scale_N: Floats | None = None
) -> NDArray[np.uint8]:
    """Images and masks, N2SS, of these regions as `square_crop` makes them; NaN, too, fits a region into its square."""
    scale_N = np.full(len(rows), np.nan) if scale_N is None else scale_N
    return np.stack(
        [
            square_crop(*segmentation.read_region(row), size, None if np.isnan(scale) else float(scale))
            for (_, row), scale in zip(rows.iterrows(), scale_N, strict=True)
        ]
    )


def square_crop(
    image_HW: NDArray[np.uint8] | NDArray[np.uint16],
    mask_HW: NDArray[np.bool_],
    size: int,
    scale: float | None = None,
) -> NDArray[np.uint8]:
    """Image and mask (0 or 1), 2SS, of one region in the middle of a square, proportions kept.

    scale: pixels of the square for a pixel of the image, of which the middle is kept where it is too large;
    None fits the region into the square.

    The gray values inside the mask, from percentile 0.5 to 99.5, are stretched to 0..255: a film's own gray
    scale depends on exposure and display. What lies around the bone stays in the image, to interpolate with.
    """
    low, high = np.percentile(image_HW[mask_HW], _PERCENTILES)
    stretched_HW = np.clip((image_HW.astype(np.float32) - low) * (255 / max(high - low, 1)), 0, 255)
    height, width = image_HW.shape
    scale = scale or size / max(height, width)
    new_height, new_width = (max(1, round(side * scale)) for side in (height, width))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = [
        cv2.resize(plane, (new_width, new_height), interpolation=method)
        for plane in (stretched_HW, mask_HW.astype(np.float32))
    ]
    (to_y, from_y), (to_x, from_x) = _middle(size, new_height), _middle(size, new_width)
    square_2SS = np.zeros((2, size, size), np.uint8)
    square_2SS[0, to_y, to_x] = np.rint(resized[0][from_y, from_x])
    square_2SS[1, to_y, to_x] = resized[1][from_y, from_x] >= 0.5
    return square_2SS


def _middle(size: int, length: int) -> tuple[slice, slice]:
    """Where the middle of `length` pixels lies on `size` pixels, and which of them it is."""
    kept = min(size, length)
    start, first = (size - kept) // 2, (length - kept) // 2
    return slice(start, start + kept), slice(first, first + kept)


def fingerprint(rows: pd.DataFrame, scale_N: Floats | None = None) -> str:
    """SHA-256 of which regions these are, down to their bytes, and of the way they are prepared."""
    columns = rows[["key", "region", "image_crc32c", "mask_crc32c"]].astype(str)
    if scale_N is not None:
        columns = columns.assign(scale=[f"{scale:.6g}" for scale in scale_N])
    lines = [_FORMAT, *columns.agg("|".join, axis=1)] if len(rows) else [_FORMAT]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _is_current(path: Path, digest: str) -> bool:
    try:
        return all(open_array(path, name).attrs.get("regions") == digest for name in ("image", "mask"))
    except StorageError:
        return False


def _build(
    path: Path,
    segmentation: Segmentation,
    rows: pd.DataFrame,
    scale_N: Floats | None,
    size: int,
    digest: str,
    progress: Progress,
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
            of_block = None if scale_N is None else scale_N[start:stop]
            block_N2SS = square_crops(segmentation, rows.iloc[start:stop], size, of_block)
            for array, planes_NSS in zip(arrays, (block_N2SS[:, 0], block_N2SS[:, 1]), strict=True):
                array[start:stop] = planes_NSS
            progress(stop, len(rows), "crops")
