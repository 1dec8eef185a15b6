"""Segment a whole store into STORE/segmentations/<model_id>/, which appears when all of it is there.

It is made of parts, FILMS_PER_PART films each in the manifest's order; a killed run goes on behind its last
whole part and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipelines.config import StudyConfig
from pipelines.progress import Progress, silent
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.described import check_regions
from pipelines.segmentation.metrics import dice_per_class
from pipelines.segmentation.predict import Prediction, Segmenter
from pipelines.segmentation.regions import RegionCrop, crop_regions
from pipelines.segmentation.stored import ARRAYS, FILMS, INDEX, INFO
from storage.arrays import create_array, writing_group
from storage.atomic import new_folder, remove_folder
from storage.codec import encode_png
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import FILM_INDEX, REGION_INDEX
from storage.seal import CHECKSUMS, as_json, folder_sums, read_sealed_json, sealed_json, write_sealed_json
from storage.shards import Placed, ShardWriter
from storage.tables import read_table, write_table

FILMS_PER_PART = 32
FILMS_PER_CHUNK = 16


def model_id(model_folder: Path) -> str:
    """The first 12 hex digits of sha256(model.safetensors)."""
    try:
        with (model_folder / "model.safetensors").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except FileNotFoundError as error:
        raise InputError(f"{model_folder} must hold a model, but has no model.safetensors.") from error


def segment_store(
    store: Store,
    model_folder: Path,
    study: StudyConfig,
    config: SegmentationConfig,
    progress: Progress = silent,
) -> Path:
    """Segment every film of the store's generation; returns the folder, at once where it is there already.

    A segmentation by the same model of another generation is replaced. InputError where the folder holds no
    segmenter, ConfigError where it was trained for other regions.
    """
    check_regions(model_folder, study)
    segmenter = Segmenter.load(model_folder, "cuda" if torch.cuda.is_available() else "cpu")
    if config.threads:
        torch.set_num_threads(config.threads)
    folder = store.root / "segmentations" / model_id(model_folder)
    info = {
        "format": 1,
        "model_id": folder.name,
        "generation": store.generation,
        "films": len(store.manifest),
        "regions": study.regions,
    }
    if (folder / INFO).exists() and read_sealed_json(folder / INFO) == info:
        return folder
    remove_folder(folder)
    parts_folder = folder.with_name(f".{folder.name}-{store.generation}.parts")
    films = store.manifest[["key", "subject", "bits"]]
    parts = []
    for start in range(0, len(films), FILMS_PER_PART):
        part = parts_folder / f"{start // FILMS_PER_PART:06d}"
        if not part.exists():
            rows = list(films.iloc[start : start + FILMS_PER_PART].itertuples(index=False))
            write_part(store, segmenter, rows, start, part)
        parts.append(part)
        progress(min(start + FILMS_PER_PART, len(films)), len(films), "films segmented")
    with new_folder(folder) as temporary:
        assemble(parts, segmenter, temporary, len(films))
        write_sealed_json(temporary / INFO, info)
        sums = folder_sums(temporary, without=CHECKSUMS)
        (temporary / CHECKSUMS).write_bytes(sealed_json({"files": as_json(sums)}))
    remove_folder(parts_folder)
    return folder


@dataclass(frozen=True)
class FilmResult:
    """A film's rows and arrays."""

    film: dict[str, Any]
    regions: list[dict[str, Any]]
    prediction: Prediction


def write_part(store: Store, segmenter: Segmenter, rows: Sequence[Any], start: int, part: Path) -> None:
    """Segment some films into a folder: crops in a tar, rows in two tables, arrays on the grid."""
    with new_folder(part) as folder:
        shard = f"regions-{part.name}.tar"
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
            folder / "arrays.npz",
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
    annotator, dice = reference_dice(store, film.key, prediction.label_map, len(names))
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
            "annotator": annotator,
            "dice": dice,
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


def reference_dice(
    store: Store, key: str, label_map: np.ndarray, num_regions: int
) -> tuple[str, list[float]]:
    """Whose mask is the reference (`truth`, else the first annotator; empty for none), Dice per region."""
    masks = store.read_masks(key)
    if not masks:
        return "", []
    annotator = "truth" if "truth" in masks else min(masks)
    return annotator, dice_per_class(label_map, masks[annotator], num_regions + 1).tolist()


def assemble(parts: list[Path], segmenter: Segmenter, folder: Path, num_films: int) -> None:
    """Join whole parts: tars by hard link, tables by rows, arrays chunk by chunk."""
    for part in parts:
        shard = f"regions-{part.name}.tar"
        try:
            (folder / shard).hardlink_to(part / shard)
        except OSError:  # a file system without hard links
            shutil.copyfile(part / shard, folder / shard)
    for name, schema in ((INDEX, REGION_INDEX), (FILMS, FILM_INDEX)):
        write_table(folder / name, pd.concat([read_table(part / name, schema) for part in parts]), schema)
    settings = segmenter.settings
    grid = settings.grid_height, settings.grid_width
    shapes = {
        "label_map": ("u1", grid),
        "entropy": ("f2", grid),
        "expert_weights": ("f4", (settings.experts,)),
    }
    with writing_group(folder / ARRAYS) as group:
        arrays = {
            name: create_array(group, name, (num_films, *size), (FILMS_PER_CHUNK, *size), dtype, {})
            for name, (dtype, size) in shapes.items()
        }
        for number, part in enumerate(parts):
            with np.load(part / "arrays.npz") as stored:
                for name, array in arrays.items():
                    first = number * FILMS_PER_PART
                    array[first : first + len(stored[name])] = stored[name]
