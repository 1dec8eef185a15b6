"""Segment a few films into a folder of their own: one part of a segmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.inference import side_by_side
from pipelines.segmentation.predict import Prediction, Segmenter
from pipelines.segmentation.references import Comparison, compare
from pipelines.segmentation.regions import RegionCrop, crop_regions
from pipelines.segmentation.shown import read_shown
from pipelines.segmentation.stored import FILMS, INDEX
from storage.atomic import new_folder
from storage.codec import encode_png
from storage.manifest import Store
from storage.schemas import FILM_INDEX, REGION_INDEX
from storage.shards import Placed, ShardWriter
from storage.tables import write_table

PART_ARRAYS = "arrays.npz"


@dataclass(frozen=True)
class SegmentedFilm:
    """What was found on a film, before it has a place in a part."""

    prediction: Prediction
    crops: dict[int, RegionCrop]
    """By class: of the regions that were found."""
    comparison: Comparison


def part_shard(part: Path) -> str:
    """Name of the tar in a part's folder."""
    return f"regions-{part.name}.tar"


def write_part(store: Store, segmenter: Segmenter, rows: Sequence[Any], start: int, part: Path) -> None:
    """Segment some films into a folder: crops in a tar, rows in two tables, arrays on the grid.

    rows: each film's key, subject and bits; start: the place of the first in the arrays.
    """
    names = segmenter.settings.regions
    regions: list[dict[str, Any]] = []
    films: list[dict[str, Any]] = []
    arrays: dict[str, list[np.ndarray]] = {"label_map": [], "entropy": [], "expert_weights": []}
    with new_folder(part) as folder:
        with ShardWriter(folder / part_shard(part)) as writer:
            segmented = side_by_side(rows, partial(segment_film, store, segmenter))
            for row, (film, found) in enumerate(zip(rows, segmented, strict=True), start):
                own = {"key": film.key, "subject": film.subject, "row": row}
                regions += [own | record for record in write_regions(film.key, names, found, writer)]
                films.append(own | film_record(found))
                arrays["label_map"].append(found.prediction.grid_label_map)
                arrays["entropy"].append(found.prediction.entropy.astype(np.float16))
                arrays["expert_weights"].append(found.prediction.expert_weights)
        write_table(folder / INDEX, pd.DataFrame(regions), REGION_INDEX)
        write_table(folder / FILMS, pd.DataFrame(films), FILM_INDEX)
        np.savez(
            folder / PART_ARRAYS,
            label_map=np.stack(arrays["label_map"]),
            entropy=np.stack(arrays["entropy"]),
            expert_weights=np.stack(arrays["expert_weights"]),
        )


def segment_film(store: Store, segmenter: Segmenter, film: Any) -> SegmentedFilm:
    """Read one film and find its regions; film: its key, subject and bits."""
    pixels = read_shown(store, film.key)
    prediction = segmenter.predict(pixels, int(film.bits))
    num_regions = len(segmenter.settings.regions)
    crops = {crop.index: crop for crop in crop_regions(pixels, prediction.label_map, num_regions)}
    return SegmentedFilm(prediction, crops, compare(store, film.key, prediction, num_regions))


def film_record(found: SegmentedFilm) -> dict[str, Any]:
    """The film's row of FILM_INDEX, but for its name and place."""
    prediction, placement = found.prediction, found.prediction.placement
    return {
        "scale": placement.scale,
        "offset_y": placement.offset_y,
        "offset_x": placement.offset_x,
        "regions_found": len(found.crops),
        "entropy": region_entropy(prediction, prediction.grid_label_map > 0),
        **asdict(found.comparison),
    }


def write_regions(
    key: str, names: Sequence[str], found: SegmentedFilm, writer: ShardWriter
) -> Iterator[dict[str, Any]]:
    """Write the film's crops; yields each region's row of REGION_INDEX, but for the film's name and place."""
    for index, name in enumerate(names, start=1):
        if index not in found.crops:
            yield {"region": name, **MISSING}
            continue
        yield {
            "region": name,
            "found": True,
            "entropy": region_entropy(found.prediction, found.prediction.grid_label_map == index),
            "shard": writer.path.name,
            **write_crop(found.crops[index], f"{key}.{name}", writer),
        }


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
