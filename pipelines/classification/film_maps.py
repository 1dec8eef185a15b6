"""Where a film model looks: Grad-CAM of the films it reads worst, kept for the report, and the checks of `explain`.

maps.json    figures of `check_maps` and, by film, the share of its map on the truth
maps.zarr    map (uint8, FSS, each scaled to its own largest value), in the order of its attribute keys
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.classification.exams import FilmSet
from pipelines.classification.film_tables import worst_first
from storage.arrays import create_array, open_array, writing_group
from storage.atomic import remove_folder, write_json
from storage.manifest import Store

if TYPE_CHECKING:
    from pipelines.classification.film_model import FilmNet

TRUTH = "truth"  # the annotator of phantoms' own geometry
MOST = 200  # films with a map
CHECKED = 64  # of them, also by randomised models
_log = logging.getLogger(__name__)


def write_maps(
    folder: Path, store: Store, model: FilmNet, films: FilmSet, scored: pd.DataFrame
) -> dict[str, Any]:
    """Write maps.json and maps.zarr for the worst films; return what maps.json holds; {} where no maps can be had.

    scored: outcome and probability of these films. Where some have a mask `truth` (phantoms), the checks read
    those alone.
    """
    from pipelines.classification.explain import (
        check_maps,
        energy,
        grad_cam,
        has_places,
    )  # torch, which a reader needs not

    if not has_places(model, films.images_NSS.shape[1]):
        _log.warning("Grad-CAM needs a convolutional backbone, so there are no maps of where this one looks.")
        return {}
    keys = worst_first(scored[scored["probability"].notna()])["key"].tolist()[:MOST]
    row_of = {key: row for row, key in enumerate(films.rows["key"])}
    images_FSS = films.images_NSS[[row_of[key] for key in keys]]
    maps_FSS = grad_cam(model, images_FSS)
    truths = {
        row: truth
        for row, key in enumerate(keys)
        if (truth := truth_of(store, key, images_FSS.shape[1])) is not None
    }
    checked = (list(truths) or list(range(len(keys))))[:CHECKED]
    truth_CSS = np.stack([truths[row] for row in checked]) if truths else None
    found = check_maps(model, images_FSS[checked], truth_CSS)
    shares = {keys[row]: float(energy(maps_FSS[row, None], truth[None])[0]) for row, truth in truths.items()}
    write_json(folder / "maps.json", {**found, "shares": shares})
    _keep(folder / "maps.zarr", keys, maps_FSS)
    return found


def read_maps(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Key to map SS; empty where the folder has none."""
    path = folder / "maps.zarr"
    if not path.is_dir():
        return {}
    maps = open_array(path, "map")
    return dict(zip(maps.attrs["keys"], maps[:], strict=True))


def truth_of(store: Store, key: str, size: int) -> NDArray[np.bool_] | None:
    """A film's mask `truth` on the square that the model reads (SS); None where it has none."""
    truth_HW = store.read_masks(key).get(TRUTH)
    return None if truth_HW is None else as_cropped(truth_HW, size)


def as_cropped(truth_HW: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """A film's mask where `crops.square_crop` puts the film: in the middle of a square, proportions kept.

    The nearest pixel is taken, so that tubes thinner than a pixel of the square don't vanish.
    """
    height, width = truth_HW.shape
    side = max(height, width)
    y, x = (side - height) // 2, (side - width) // 2
    padded_LL = np.zeros((side, side), np.uint8)
    padded_LL[y : y + height, x : x + width] = truth_HW > 0
    found_SS: NDArray[np.bool_] = cv2.resize(padded_LL, (size, size), interpolation=cv2.INTER_NEAREST) > 0
    return found_SS


def _keep(path: Path, keys: list[str], maps_FSS: NDArray[np.float32]) -> None:
    remove_folder(path)
    top_F11 = np.maximum(maps_FSS.max(axis=(1, 2), keepdims=True), 1e-12)
    with writing_group(path) as group:
        shape = maps_FSS.shape
        array = create_array(group, "map", shape, (16, *shape[1:]), np.uint8, {"keys": keys})
        array[:] = np.rint(255 * maps_FSS / top_F11).astype(np.uint8)
