"""Segment a few films into a folder of their own: one part of a segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.segmentation.predict import Prediction, Segmenter
from pipelines.segmentation.references import compare
from pipelines.segmentation.regions import RegionCrop, crop_regions
from pipelines.segmentation.stored import FILMS, INDEX
from storage.atomic import new_folder
from storage.codec import encode_png
from storage.manifest import Store
from storage.schemas import FILM_INDEX, REGION_INDEX
from storage.shards import Placed, ShardWriter
from storage.tables import write_table

PART_ARRAYS = "arrays.npz"


@dataclass(frozen=True)
class FilmResult:
    """A film's rows and arrays."""

    film: dict[str, Any]
    regions: list[dict[str, Any]]
    prediction: Prediction


def part_shard(part: Path) -> str:
    """Name of the tar in a part's folder."""
    return f"regions-{part.name}.tar"


def write_part(store: Store, segmenter: Segmenter, rows: Sequence[Any], start: int, part: Path) -> None:
    """Segment some films into a folder: crops in a tar, rows in two tables, arrays on the grid."""
    with new_folder(part) as folder:
        shard = part_shard(part)
        with ShardWriter(folder / shard) as writer:
            results = [
                segment_film(store, segmenter, row, start + number, shard, writer)
                for number, row in enumerate(rows)
            ]
        write_table(
            folder / INDEX, pd.DataFrame([row for result in results for row in result.regions]), REGION_INDEX
        )
        write_table(folder / FILMS, pd.DataFrame([result.film for result in results]), FILM_INDEX)
        np.savez(
            folder / PART_ARRAYS,
            label_map=np.stack([result.prediction.grid_label_map for result in results]),
            entropy=np.stack([result.prediction.entropy for result in results]).astype(np.float16),
            expert_weights=np.stack([result.prediction.expert_weights for result in results]),
        )


def segment_film(
    store: Store, segmenter: Segmenter, film: Any, row: int, shard: str, writer: ShardWriter
) -> FilmResult:
    """Read one film and write its crops; film: its key, subject and bits; row: its place in the arrays."""
    pixels = store.read_image(film.key)
    prediction = segmenter.predict(pixels, int(film.bits))
    names = segmenter.settings.regions
    crops = {crop.index: crop for crop in crop_regions(pixels, prediction.label_map, len(names))}
    regions = []
    for index, name in enumerate(names, start=1):
        record = {"key": film.key, "subject": film.subject, "region": name, "row": row}
        if index in crops:
            record |= write_crop(crops[index], f"{film.key}.{name}", writer) | {
                "found": True,
                "entropy": region_entropy(prediction, prediction.grid_label_map == index),
                "shard": shard,
            }
        else:
            record |= MISSING
        regions.append(record)
    placement = prediction.placement
    return FilmResult(
        {
            "key": film.key,
            "subject": film.subject,
            "row": row,
            "scale": placement.scale,
            "offset_y": placement.offset_y,
            "offset_x": placement.offset_x,
            "regions_found": len(crops),
            "entropy": region_entropy(prediction, prediction.grid_label_map > 0),
            **asdict(compare(store, film.key, prediction, len(names))),
        },
        regions,
        prediction,
    )


MISSING: dict[str, Any] = {
    "found": False,
    "entropy": float("nan"),
    "shard": "",
    **dict.fromkeys(("y0", "x0", "y1", "x1", "area_px"), 0),
    **{f"{kind}_{field}": 0 for kind in ("image", "mask") for field in ("offset", "size", "crc32c")},
}  # the columns of a region that wasn't found


def write_crop(crop: RegionCrop, name: str, writer: ShardWriter) -> dict[str, Any]:
    """Add image and mask of a region to the tar; returns the columns that tell where they are."""
    image = writer.add(f"{name}.image.png", encode_png(crop.image))
    mask = writer.add(f"{name}.mask.png", encode_png(crop.mask.astype(np.uint8) * 255))
    box = {"y0": crop.y0, "x0": crop.x0, "y1": crop.y1, "x1": crop.x1, "area_px": crop.area_px}
    return box | placed_columns("image", image) | placed_columns("mask", mask)


def placed_columns(kind: str, placed: Placed) -> dict[str, int]:
    """Offset, size and checksum of a member as columns of the index."""
    return {f"{kind}_offset": placed.offset, f"{kind}_size": placed.size, f"{kind}_crc32c": placed.crc32c}


def region_entropy(prediction: Prediction, where: np.ndarray) -> float:
    """Mean entropy in nats over some pixels of the grid; NaN over none."""
    return float(prediction.entropy[where].mean()) if where.any() else float("nan")
