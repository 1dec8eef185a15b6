"""Films as they are, where a study's region is the whole film: what a segmentation would be, without a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.config import WHOLE
from pipelines.segmentation.stored import Segmentation
from storage.manifest import Store
from storage.schemas import FILM_INDEX, REGION_INDEX

MODEL_ID = "whole"


class WholeFilms(Segmentation):
    """Every film of a store as its one region; nothing is written, the films' own bytes are read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.folder = store.root
        self.model_id = MODEL_ID
        self.info: dict[str, Any] = {"model_id": MODEL_ID, "regions": WHOLE, "films": len(store.manifest)}
        films = store.manifest.reset_index(drop=True)
        size = films["height"].astype("int64") * films["width"].astype("int64")
        shared = {"key": films["key"], "subject": films["subject"], "row": np.arange(len(films))}
        self.regions = pd.DataFrame(
            {
                **shared,
                "region": WHOLE[0],
                "found": True,
                **{"y0": 0, "x0": 0, "y1": films["height"], "x1": films["width"]},
                "area_px": size,
                "entropy": np.float32("nan"),
                "shard": films["shard"],
                # the film's own member; read_region goes through the store, which knows its codec
                "image_offset": films["offset"],
                "image_size": films["size"],
                "image_crc32c": films["crc32c"],
                **dict.fromkeys(("mask_offset", "mask_size", "mask_crc32c"), 0),
            }
        )[REGION_INDEX.names]
        self.films = pd.DataFrame(
            {
                **shared,
                **{"scale": 1.0, "offset_y": 0.0, "offset_x": 0.0, "regions_found": 1},
                **{"entropy": np.float32("nan"), "annotator": ""},
                **dict.fromkeys(("dice", "disagreement"), [[]] * len(films)),
            }
        )[FILM_INDEX.names]
        self._arrays = {}

    def read_region(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        """The film, and which of its pixels no shutter hides."""
        pixels = self._store.read_image(row.key)
        valid = self._store.read_valid(row.key)
        return pixels, np.ones(pixels.shape, np.bool_) if valid is None else valid
