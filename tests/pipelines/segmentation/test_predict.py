"""A film is read in the pose that the network knows: mirrored or turned, it gets the same bones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.config import StudyConfig
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.metrics import dice_per_class
from pipelines.segmentation.predict import Reading, Segmenter, film_classes
from pipelines.segmentation.train import train_segmenter
from pipelines.training.session import LocalSession
from storage.manifest import Store


def test_a_mirrored_film_gives_the_mirrored_label_map(
    tmp_path: Path, make_store: Callable[..., Store], config: SegmentationConfig
) -> None:
    study = StudyConfig(name="toy", regions=["left", "right", "foot"])
    config = replace(config, steps=150, side_regions=["left", "right", "foot"], subjects="all")
    store = make_store(num_films=10, foot=True)
    train_segmenter(store, tmp_path / "out", config, study, LocalSession("cpu"))
    segmenter = Segmenter.load(tmp_path / "out")
    for key in ("k000", "k001", "k002"):
        pixels = store.read_image(key)
        as_is = segmenter.predict(pixels, 12)
        mirrored = segmenter.predict(np.ascontiguousarray(pixels[:, ::-1]), 12)
        assert np.nanmean(dice_per_class(mirrored.label_map[:, ::-1], as_is.label_map, 4)) > 0.9
        assert np.abs(mirrored.entropy[:, ::-1] - as_is.entropy).mean() < 0.02


def test_a_later_reading_counts_where_it_reaches() -> None:
    likely, unlikely = np.full((50, 60), 0.9, np.float32), np.full((50, 60), 0.1, np.float32)
    weights = np.ones(1, np.float32)
    first = Reading(np.eye(2, 3), np.stack([likely, unlikely]), weights)
    moved = np.array([[1.0, 0, -30], [0, 1, 0]])  # the second reading sees the film from column 30 on
    second = Reading(moved, np.stack([unlikely, likely]), weights)
    assert not film_classes([first], 50, 60).any()
    classes = film_classes([first, second], 50, 60)
    assert not classes[:, :30].any() and classes[10:40, 35:].all()
