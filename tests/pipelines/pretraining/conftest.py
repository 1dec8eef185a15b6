"""A store with two kinds of subjects and a segmentation of it, written with the real writers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.segmentation.part import MISSING, write_crop
from pipelines.segmentation.regions import crop_regions
from pipelines.segmentation.stored import ARRAYS, FILMS, INDEX, INFO, Segmentation
from storage.arrays import create_array, writing_group
from storage.atomic import write_json
from storage.manifest import Store
from storage.schemas import ANNOTATIONS, EXCLUSIONS, FILM_INDEX, MANIFEST, OUTCOMES, REGION_INDEX
from storage.shards import ShardWriter
from storage.tables import empty, write_table

REGIONS = ("ulna", "radius")


def draw_film(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A 12-bit film of 90 x 60 with two tilted bars, and its label map; film 3 lacks the second bar."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:90, :60]
    label_map = np.zeros((90, 60), np.uint8)
    for index in (1, 2) if number != 3 else (1,):
        distance = np.abs(x - 20 * index - 0.1 * (y - 45) * (-1) ** number)
        label_map[(distance < 5) & (y > 8) & (y < 80)] = index
    pixels = 300 + 900 * (label_map > 0) + rng.normal(0, 60, label_map.shape)
    return pixels.astype(np.uint16), label_map


def write_segmentation(root: Path, model_id: str, num_films: int, subjects: list[str]) -> None:
    """What the stage `segment` leaves, from known label maps."""
    folder = root / "segmentations" / model_id
    regions, films = [], []
    folder.mkdir(parents=True, exist_ok=True)
    with ShardWriter(folder / "regions-000000.tar") as writer:
        for number in range(num_films):
            film = {"key": f"key{number}", "subject": subjects[number], "row": number}
            pixels, label_map = draw_film(number)
            crops = {crop.index: crop for crop in crop_regions(pixels, label_map, len(REGIONS))}
            for index, region in enumerate(REGIONS, start=1):
                found = MISSING
                if index in crops:
                    placed = write_crop(crops[index], f"key{number}.{region}", writer)
                    found = {"found": True, "entropy": 0.1, "shard": "regions-000000.tar"} | placed
                regions.append(film | {"region": region} | found)
            films.append(film | {"scale": 1.0, "offset_y": 0.0, "offset_x": 0.0, "regions_found": len(crops)})
            films[-1] |= {"entropy": 0.1, "annotator": "", "dice": []}
    write_table(folder / INDEX, pd.DataFrame(regions), REGION_INDEX)
    write_table(folder / FILMS, pd.DataFrame(films), FILM_INDEX)
    if not (folder / ARRAYS).exists():
        with writing_group(folder / ARRAYS) as group:
            for name in ("label_map", "entropy", "expert_weights"):
                create_array(group, name, (num_films, 1), (num_films, 1), np.uint8, {})[:] = 0
    write_json(folder / INFO, {"format": 1, "model_id": model_id})


@pytest.fixture
def make_segmentation(tmp_path: Path) -> Callable[[int], Segmentation]:
    """Segment a number of films in tmp_path/store: two films a subject."""

    def make(num_films: int) -> Segmentation:
        subjects = [f"subject{number // 2}" for number in range(num_films)]
        write_segmentation(tmp_path / "store", "0123456789ab", num_films, subjects)
        return Segmentation(tmp_path / "store" / "segmentations" / "0123456789ab")

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in which subject0 alone has an outcome."""
    store = Store.create(tmp_path / "store", "phantom")
    store.commit(empty(MANIFEST), empty(ANNOTATIONS), empty(EXCLUSIONS))
    store.write_outcomes(
        pd.DataFrame([dict.fromkeys(OUTCOMES.names) | {"subject": "subject0", "outcome": 1}])
    )
    return store
