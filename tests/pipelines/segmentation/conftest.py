"""A store of toy films: a bright disc ("left") and a bright bar ("right") on a dark ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from pipelines.config import StudyConfig
from pipelines.segmentation.config import SegmentationConfig
from storage import schemas
from storage.codec import encode_png
from storage.manifest import Store
from storage.shards import ShardWriter
from storage.tables import empty

StoreMaker = Callable[..., Store]


def toy_film(
    seed: int, foot: bool = False, height: int = 80, width: int = 64
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A 12-bit film and its label maps; foot: a third region, a bar below the disc."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.uint8)
    centre = int(rng.integers(15, 25)), int(rng.integers(30, 50))
    cv2.circle(truth, centre, int(rng.integers(8, 12)), 1, -1)
    x, y = int(rng.integers(38, 48)), int(rng.integers(15, 25))
    cv2.rectangle(truth, (x, y), (x + 9, y + 40), 2, -1)
    if foot:
        cv2.rectangle(truth, (10, 68), (28, 74), 3, -1)
    film = rng.normal(600, 60, truth.shape) + 1500 * (truth > 0)
    generous = cv2.dilate(truth, np.ones((3, 3), np.uint8))
    masks = {"truth": truth, "a0": truth, "a1": truth.copy(), "a2": generous}
    return np.clip(film, 0, 4095).astype(np.uint16), masks


def rows(schema: Any, values: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([dict.fromkeys(schema.names) | value for value in values], columns=schema.names)


@pytest.fixture
def make_store(tmp_path: Path) -> StoreMaker:
    def make(
        num_films: int = 6,
        annotators: int = 3,
        outcomes: tuple[str, ...] = (),
        name: str = "store",
        foot: bool = False,
    ) -> Store:
        store = Store.create(tmp_path / name, "key1")
        films, masks = [], []
        with (
            ShardWriter(store.root / "shards" / "radiographs-000000-0.tar") as film_writer,
            ShardWriter(store.root / "shards" / "annotations-000000-0.tar") as mask_writer,
        ):
            for number in range(num_films):
                key, (pixels, maps) = f"k{number:03d}", toy_film(number, foot)
                place = asdict(film_writer.add(f"{key}.image.png", encode_png(pixels)))
                films.append(
                    {
                        "key": key,
                        "subject": f"s{number:03d}",
                        "bits": 12,
                        "codec": "png",
                        "pixels_sha256": key,
                        **place,
                    }
                    | dict(zip(("height", "width"), pixels.shape, strict=True))
                    | {"shard": film_writer.path.name}
                )
                for annotator in ["truth", "a0", "a1", "a2"][: annotators + 1]:
                    placed = asdict(
                        mask_writer.add(f"{key}.mask.{annotator}.png", encode_png(maps[annotator]))
                    )
                    weight = 0.0 if annotator == "truth" else 1 / annotators
                    masks.append({"key": key, "annotator": annotator, "weight": weight, **placed})
                    masks[-1]["shard"] = mask_writer.path.name
        store.commit(
            rows(schemas.MANIFEST, films), rows(schemas.ANNOTATIONS, masks), empty(schemas.EXCLUSIONS)
        )
        if outcomes:
            values = [{"subject": subject, "exam": "", "outcome": 1} for subject in outcomes]
            store.write_outcomes(rows(schemas.OUTCOMES, values))
        return store

    return make


@pytest.fixture
def study() -> StudyConfig:
    return StudyConfig(name="toy", regions=["left", "right"])


@pytest.fixture
def config() -> SegmentationConfig:
    return SegmentationConfig(
        steps=100,
        batch_size=4,
        lr=1e-2,
        warmup_steps=5,
        ema=0.9,
        validate_every=50,
        checkpoint_every_steps=50,
        grid_height=40,
        grid_width=32,
        channels=[8, 16],
        experts=2,
        latent=3,
        hidden=8,
        gamma_start=0.25,
        second_pass=False,
        side_regions=[],
        threads=1,
    )
