"""Segment a whole store into STORE/segmentations/<model_id>/, which appears when all of it is there.

1. prepare: a segmentation of another generation by the same model is removed.
2. write_parts: FILMS_PER_PART films each, in the manifest's order; slot i of an array takes parts[i::width].
3. assemble: whole parts become the segmentation.

`segment_store` is these in order. A killed run goes on behind its last whole part; whoever writes the parts,
and in whatever order, the bytes are the same.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipelines.config import StudyConfig
from pipelines.progress import Progress, silent
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.described import check_regions
from pipelines.segmentation.model import SegmenterSettings, read_model
from pipelines.segmentation.part import PART_ARRAYS, part_shard, write_part
from pipelines.segmentation.predict import Segmenter
from pipelines.segmentation.stored import ARRAYS, FILMS, INDEX, INFO, pixels_of
from storage.arrays import create_array, writing_group
from storage.atomic import new_folder, remove_folder
from storage.errors import InputError, StorageError
from storage.manifest import Store
from storage.schemas import FILM_INDEX, REGION_INDEX
from storage.seal import CHECKSUMS, as_json, folder_sums, read_sealed_json, sealed_json, write_sealed_json
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


@dataclass(frozen=True, kw_only=True)
class SegmentTask:
    """What is to be segmented, and with what; the same for every step and part."""

    store: Store
    model_folder: Path
    study: StudyConfig
    config: SegmentationConfig

    @cached_property
    def folder(self) -> Path:
        """The segmentation; InputError where the model's folder has no weights."""
        return self.store.root / "segmentations" / model_id(self.model_folder)

    @cached_property
    def info(self) -> dict[str, object]:
        """What the whole segmentation says of itself."""
        return {
            "format": 1,
            "model_id": self.folder.name,
            "generation": self.store.generation,
            "films": len(self.store.manifest),
            "pixels": pixels_of(self.store),
            "regions": self.study.regions,
        }

    @property
    def parts(self) -> list[Path]:
        """The folders of all parts, there or not."""
        folder = self.folder.with_name(f".{self.folder.name}-{self.store.generation}.parts")
        return [folder / f"{number:06d}" for number in range(ceil(len(self.store.manifest) / FILMS_PER_PART))]

    def is_done(self) -> bool:
        """Whether the segmentation is there, of this generation."""
        return (self.folder / INFO).exists() and read_sealed_json(self.folder / INFO) == self.info


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
    task = SegmentTask(store=store, model_folder=model_folder, study=study, config=config)
    prepare(task)
    write_parts(task, 0, 1, progress)
    return assemble(task)


def prepare(task: SegmentTask) -> None:
    """Make room for the segmentation; raises as `segment_store`."""
    check_regions(task.model_folder, task.study)
    if not task.is_done():
        remove_folder(task.folder)


def write_parts(task: SegmentTask, index: int, width: int, progress: Progress) -> None:
    """Write the parts of one slot that are not there yet."""
    if task.is_done() or not (own := task.parts[index::width]):
        return
    if task.config.threads:
        torch.set_num_threads(task.config.threads)
    segmenter = Segmenter.load(task.model_folder, "cuda" if torch.cuda.is_available() else "cpu")
    films = task.store.manifest[["key", "subject", "bits"]]
    starts = [FILMS_PER_PART * int(part.name) for part in own]
    total = sum(min(FILMS_PER_PART, len(films) - start) for start in starts)
    done = 0
    for start, part in zip(starts, own, strict=True):
        rows = list(films.iloc[start : start + FILMS_PER_PART].itertuples(index=False))
        if not part.exists():
            write_part(task.store, segmenter, rows, start, part)
        done += len(rows)
        progress(done, total, "films segmented")


def missing_parts(task: SegmentTask) -> list[int]:
    """Places of the parts that are still to be written."""
    return [] if task.is_done() else [n for n, part in enumerate(task.parts) if not part.exists()]


def assemble(task: SegmentTask) -> Path:
    """Make whole parts the segmentation; returns its folder. StorageError where a part is missing."""
    if task.is_done():
        return task.folder
    if missing := missing_parts(task):
        raise StorageError(
            f"{len(missing)} of {len(task.parts)} parts of the segmentation are not written, the first is "
            f"{missing[0]}; run segment again, which writes what is missing."
        )
    with new_folder(task.folder) as temporary:
        join_parts(task.parts, read_model(task.model_folder)[0], temporary, len(task.store.manifest))
        write_sealed_json(temporary / INFO, task.info)
        sums = folder_sums(temporary, without=CHECKSUMS)
        (temporary / CHECKSUMS).write_bytes(sealed_json({"files": as_json(sums)}))
    remove_folder(task.parts[0].parent)
    return task.folder


def join_parts(parts: list[Path], settings: SegmenterSettings, folder: Path, num_films: int) -> None:
    """Join whole parts: tars by hard link, tables by rows, arrays chunk by chunk."""
    for part in parts:
        shard = part_shard(part)
        try:
            (folder / shard).hardlink_to(part / shard)
        except OSError:  # a file system without hard links
            shutil.copyfile(part / shard, folder / shard)
    for name, schema in ((INDEX, REGION_INDEX), (FILMS, FILM_INDEX)):
        write_table(folder / name, pd.concat([read_table(part / name, schema) for part in parts]), schema)
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
            with np.load(part / PART_ARRAYS) as stored:
                for name, array in arrays.items():
                    first = number * FILMS_PER_PART
                    array[first : first + len(stored[name])] = stored[name]
