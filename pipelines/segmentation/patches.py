"""Squares anywhere on a film, as many as a hand has bones: what pretraining meets where nothing is segmented.

The hand paper's second ablation samples seven patches of every film, so that the encoder meets as many images as
with seven bones. It does not say how large they are; here their side is half of the film's shorter side.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from pipelines.config import PATCHES
from pipelines.segmentation.whole import WholeFilms
from storage.manifest import Store
from storage.schemas import REGION_INDEX

MODEL_ID = "patches"


class Patches(WholeFilms):
    """Seven squares of every film; where they lie follows from the film's key, the same in every run."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.model_id = MODEL_ID
        self.info |= {"model_id": MODEL_ID, "regions": PATCHES}
        films = self.regions
        rows = films.loc[films.index.repeat(len(PATCHES))].reset_index(drop=True)
        rows["region"] = PATCHES * len(films)
        boxes_F74 = [
            _boxes(key, height, width)
            for key, height, width in zip(films["key"], films["y1"], films["x1"], strict=True)
        ]
        rows[["y0", "x0", "y1", "x1"]] = np.reshape(boxes_F74, (-1, 4))
        rows["area_px"] = (rows["y1"] - rows["y0"]) * (rows["x1"] - rows["x0"])
        self.regions = rows[REGION_INDEX.names]
        self._last: tuple[str, np.ndarray, np.ndarray] | None = None

    def read_region(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        """The square, and which of its pixels no shutter hides."""
        last = self._last
        if last is None or last[0] != row.key:  # a film's squares follow one another: it is decoded once
            last = self._last = (row.key, *super().read_region(row))
        box = slice(row.y0, row.y1), slice(row.x0, row.x1)
        image, valid = last[1][box], last[2][box]
        return image, valid if valid.any() else np.ones_like(valid)


def _boxes(key: str, height: int, width: int) -> np.ndarray:
    """y0, x0, y1, x1 of each patch (7 x 4)."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    side = max(1, min(height, width) // 2)
    corner_72 = np.random.default_rng(seed).integers(
        0, [height - side, width - side], size=(len(PATCHES), 2), endpoint=True
    )
    return np.concatenate([corner_72, corner_72 + side], axis=1)
