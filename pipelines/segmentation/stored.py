"""Read a segmentation of a store: label maps, uncertainty and region crops, without the model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.config import BONES
from storage.arrays import open_array
from storage.codec import decode_png
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import FILM_INDEX, REGION_INDEX
from storage.seal import read_sealed_json
from storage.shards import read_member
from storage.tables import read_table

INFO, INDEX, FILMS, ARRAYS = "segmentation.json", "index.parquet", "films.parquet", "arrays.zarr"


class Segmentation:
    """One model's reading of every film of a store."""

    def __init__(self, folder: Path) -> None:
        """Use `open_segmentation`."""
        self.folder = folder
        self.model_id = folder.name
        self.info: dict[str, Any] = read_sealed_json(folder / INFO)
        self.regions: pd.DataFrame = read_table(folder / INDEX, REGION_INDEX)
        """One row per film and region (schemas.REGION_INDEX)."""
        self.films: pd.DataFrame = read_table(folder / FILMS, FILM_INDEX)
        """One row per film (schemas.FILM_INDEX), in the order of the arrays."""
        self._arrays = {
            name: open_array(folder / ARRAYS, name) for name in ("label_map", "entropy", "expert_weights")
        }

    def read_region(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        """Image (in the film's depth) and boolean mask of a row of `regions`, from iloc or itertuples."""
        if not row.found:
            raise ValueError(f"Film {row.key} has no {row.region}: look at `found` first.")
        path = self.folder / row.shard
        image = read_member(path, int(row.image_offset), int(row.image_size), int(row.image_crc32c))
        mask = read_member(path, int(row.mask_offset), int(row.mask_size), int(row.mask_crc32c))
        return decode_png(image), decode_png(mask) > 0

    def label_map(self, row: int) -> np.ndarray:
        """Class indices on the grid, HW uint8; row: of `films`."""
        return np.asarray(self._arrays["label_map"][row])

    def entropy(self, row: int) -> np.ndarray:
        """Entropy of the mean prediction on the grid in nats, HW float16."""
        return np.asarray(self._arrays["entropy"][row])

    def expert_weights(self, row: int) -> np.ndarray:
        """The router's weights of the experts, K float32."""
        return np.asarray(self._arrays["expert_weights"][row])


def regions_of(store_root: Path, segmentation: Segmentation, regions: str) -> Segmentation:
    """What is read, one of pipelines.config.REGIONS: the bones of this segmentation, or what stands for them."""
    return segmentation if regions == BONES else open_segmentation(store_root, regions)


def open_segmentation(store_root: Path, model_id: str) -> Segmentation:
    """Open STORE/segmentations/<model_id>; InputError where that model has not segmented the live generation.

    Another generation of the same pixels will do.
    """
    if model_id == "whole":
        from pipelines.segmentation.whole import WholeFilms  # which builds on this module

        return WholeFilms(Store.open(store_root))
    if model_id == "patches":
        from pipelines.segmentation.patches import Patches

        return Patches(Store.open(store_root))
    folder = store_root / "segmentations" / model_id
    if not (folder / INFO).exists():
        known = sorted(path.parent.name for path in folder.parent.glob(f"*/{INFO}"))
        raise InputError(
            f"{store_root} has no segmentation {model_id}, only {known}; run radmill segment with this model."
        )
    segmentation, store = Segmentation(folder), Store.open(store_root)
    live, read = set(store.manifest["key"]), set(segmentation.films["key"])
    if live != read:
        raise InputError(
            f"Segmentation {model_id} of {store_root} must hold the films of generation {store.generation}, but "
            f"lacks {len(live - read)} of them and has {len(read - live)} others; run radmill segment again."
        )
    if segmentation.info.get("pixels", (now := pixels_of(store))) != now:  # earlier versions did not say
        raise InputError(
            f"Some films of {store_root} have other pixels than when {model_id} segmented them, as an override of "
            "their polarity gives them; run radmill segment again."
        )
    return segmentation


def pixels_of(store: Store) -> str:
    """Stands for the pixels of all films: a film's key stands for its source alone, which may be read otherwise."""
    films = store.manifest[["key", "pixels_sha256", "valid_crc32c"]].sort_values("key")
    return hashlib.sha256(films.to_csv(index=False).encode()).hexdigest()[:16]
