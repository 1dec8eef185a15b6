"""Toy cohorts through the real storage: films with a disc and a bar, whose stripes are finer in positives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pipelines.classification.config import ClassificationConfig
from pipelines.config import StudyConfig
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.train import pretrain
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.segment import segment_store
from pipelines.segmentation.stored import Segmentation, open_segmentation
from pipelines.segmentation.train import train_segmenter
from pipelines.training.session import LocalSession
from storage import schemas
from storage.codec import encode_png
from storage.config import SplitConfig
from storage.manifest import Store
from storage.shards import ShardWriter
from storage.tables import empty

STUDY = StudyConfig(name="toy", regions=["disc", "metacarpal2"])
CONFIG = ClassificationConfig(input_size=32, l2=[0.01, 0.1, 1.0], inner_folds=3)
SPLIT = SplitConfig(folds=4, repeats=2, seed=2023)
SEGMENTATION = SegmentationConfig(
    steps=240,
    batch_size=4,
    lr=1e-2,
    warmup_steps=5,
    ema=0.9,
    validate_every=120,
    checkpoint_every_steps=240,
    grid_height=40,
    grid_width=32,
    channels=[8, 16],
    experts=2,
    latent=3,
    hidden=8,
    gamma_start=0.25,
    second_pass=False,
    frame_regions=["disc"],
    side_regions=[],
    threads=1,
)


@dataclass(frozen=True)
class Developed:
    """A store with outcomes and everything that `classify` reads."""

    store: Store
    segmentation: Segmentation
    segmenter: Path
    encoder: Path


def film(rng: np.random.Generator, positive: bool, empty_film: bool) -> tuple[np.ndarray, np.ndarray]:
    """A 12-bit film and its label map; an empty one is of one gray."""
    labels = np.zeros((80, 64), np.uint8)
    if not empty_film:
        cv2.circle(
            labels, (int(rng.integers(15, 25)), int(rng.integers(30, 50))), int(rng.integers(9, 12)), 1, -1
        )
        x, y = int(rng.integers(38, 46)), int(rng.integers(15, 25))
        cv2.rectangle(labels, (x, y), (x + 13, y + 40), 2, -1)
    rows_HW = np.arange(80)[:, None] * np.ones(64)
    stripes_HW = np.where(rows_HW % (4 if positive else 10) < 2, 400, 0)
    pixels = 600 + (1500 + stripes_HW) * (labels > 0) + rng.normal(0, 80, labels.shape) * (not empty_film)
    return np.clip(pixels, 0, 4095).astype(np.uint16), labels


def make_store(root: Path, subjects: int, unlabelled: int, seed: int) -> Store:
    """One film per subject; the last `unlabelled` have masks, the others outcomes, every third positive.

    Subject 0 is an empty film, subject 1 a child of ten; the stripes of one in twelve tell the wrong outcome.
    """
    rng, store = np.random.default_rng(seed), Store.create(root, "key1")
    films, masks, outcomes = [], [], []
    with (
        ShardWriter(root / "shards" / "radiographs-000000-0.tar") as film_writer,
        ShardWriter(root / "shards" / "annotations-000000-0.tar") as mask_writer,
    ):
        for number in range(subjects + unlabelled):
            key, subject, positive = f"k{seed}{number:03d}", f"s{seed}{number:03d}", number % 3 == 0
            shown = positive != (number % 12 == 5)
            pixels, labels = film(rng, shown, empty_film=number == 0)
            place = asdict(film_writer.add(f"{key}.image.png", encode_png(pixels)))
            films.append(
                {"key": key, "subject": subject, "bits": 12, "height": 80, "width": 64, **place}
                | {"shard": film_writer.path.name, "age_years": 10.0 if number == 1 else 60.0}
                | {"pixels_sha256": key, "data_kind": "phantom", "codec": "png"}
            )
            if number < subjects:
                outcomes.append({"subject": subject, "exam": "", "outcome": int(positive), "rule": "<= -2.5"})
                continue
            placed = asdict(mask_writer.add(f"{key}.mask.a0.png", encode_png(labels)))
            masks.append({"key": key, "annotator": "a0", "weight": 1.0, **placed})
            masks[-1]["shard"] = mask_writer.path.name
    store.commit(
        _table(schemas.MANIFEST, films), _table(schemas.ANNOTATIONS, masks), empty(schemas.EXCLUSIONS)
    )
    if outcomes:
        store.write_outcomes(_table(schemas.OUTCOMES, outcomes))
    return store


def develop(root: Path) -> Developed:
    """Store, segmenter, segmentation and an encoder with the weights it was born with."""
    store = make_store(root / "store", subjects=48, unlabelled=8, seed=1)
    train_segmenter(store, root / "segmenter", SEGMENTATION, STUDY, LocalSession("cpu"))
    folder = segment_store(store, root / "segmenter", STUDY, SEGMENTATION)
    segmentation = open_segmentation(store.root, folder.name)
    pretraining = PretrainingConfig(method="none", backbone="resnet10t", threads=1)
    (root / "encoder").mkdir()
    pretrain(store, segmentation, root / "encoder", pretraining, STUDY, LocalSession("cpu"))
    return Developed(store, segmentation, root / "segmenter", root / "encoder")


def _table(schema: Any, values: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([dict.fromkeys(schema.names) | value for value in values], columns=schema.names)
