"""Training finds the toy's bones; who has an outcome stays out; a resumed training ends in the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from pipelines.config import StudyConfig
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.model import read_model
from pipelines.segmentation.predict import Segmenter
from pipelines.segmentation.samples import annotated_films, cached_keys, split_subjects
from pipelines.segmentation.train import halved, train_segmenter
from pipelines.training.session import LocalSession, StoppedEarly
from storage.errors import InputError
from storage.manifest import Store


@pytest.mark.parametrize("annotators", [1, 3])
def test_dice_climbs_and_the_model_reads_films(
    tmp_path: Path,
    make_store: Callable[..., Store],
    study: StudyConfig,
    config: SegmentationConfig,
    annotators: int,
) -> None:
    store = make_store(num_films=10, annotators=annotators)
    summary = train_segmenter(store, tmp_path / "out", config, study, LocalSession("cpu"))
    assert summary["films"] + summary["films_validated"] == 10
    assert summary["dice"] > 0.7 and summary["ged"] < 0.6
    assert json.loads((tmp_path / "out" / "model.json").read_text())["training"] == summary
    segmenter = Segmenter.load(tmp_path / "out")
    prediction = segmenter.predict(store.read_image("k001"), 12)
    assert prediction.label_map.shape == (80, 64) and prediction.entropy.shape == (40, 32)
    np.testing.assert_allclose(prediction.probability.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(prediction.expert_weights.sum(), 1, atol=1e-5)
    again = segmenter.predict(store.read_image("k001"), 12)
    np.testing.assert_array_equal(prediction.label_map, again.label_map)
    np.testing.assert_array_equal(prediction.entropy, again.entropy)


def test_a_stopped_training_goes_on_to_the_same_weights(
    tmp_path: Path, make_store: Callable[..., Store], study: StudyConfig, config: SegmentationConfig
) -> None:
    store, config = make_store(), replace(config, steps=12, validate_every=4, checkpoint_every_steps=5)
    whole = train_segmenter(store, tmp_path / "whole", config, study, LocalSession("cpu"))
    stop = Event()

    def stop_at_seven(done: int, total: int, note: str) -> None:
        if done == 7 and total == 12:
            stop.set()

    with pytest.raises(StoppedEarly):
        train_segmenter(store, tmp_path / "cut", config, study, LocalSession("cpu", stop), stop_at_seven)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    assert train_segmenter(store, tmp_path / "cut", config, study, LocalSession("cpu")) == whole
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_training_stops_while_its_films_are_prepared(
    tmp_path: Path, make_store: Callable[..., Store], study: StudyConfig, config: SegmentationConfig
) -> None:
    stop, prepared = Event(), list[int]()

    def stop_at_two(done: int, total: int, note: str) -> None:
        prepared.append(done)
        if done == 2:
            stop.set()

    sentence = r"^Stopped while the films were prepared; the same command goes on from there\.$"
    with pytest.raises(StoppedEarly, match=sentence) as caught:
        train_segmenter(make_store(), tmp_path, config, study, LocalSession("cpu", stop), stop_at_two)
    assert caught.value.exit_code == 75
    assert prepared == [1, 2]


def test_subjects_with_outcome_neither_train_nor_validate(
    make_store: Callable[..., Store], config: SegmentationConfig
) -> None:
    store = make_store(num_films=6, outcomes=("s001", "s004"))
    films = annotated_films(store, "without_outcome")
    assert list(films["key"]) == ["k000", "k002", "k003", "k005"]
    trained, validated = split_subjects(films, config)
    assert sorted(trained + validated) == list(films["key"]) and len(validated) == 1
    assert split_subjects(films, config) == (trained, validated)
    assert len(annotated_films(store, "all")) == 6
    with pytest.raises(InputError, match=r"needs annotated films of at least 2 subjects without outcome"):
        annotated_films(make_store(num_films=2, outcomes=("s001",), name="few"), "without_outcome")


def test_the_cache_holds_as_many_films_as_fit(
    make_store: Callable[..., Store], config: SegmentationConfig
) -> None:
    store, keys = make_store(num_films=4), ["k000", "k001", "k002", "k003"]
    per_film = 5 * 48 * 38 / 1e9  # two channels and three masks on a grid finer by a fifth
    config.cache_gb = 2.5 * per_film
    assert cached_keys(store, keys, config) == keys[:2]
    config.cache_gb = 10.0
    assert cached_keys(store, keys, config) == keys


def test_a_folder_without_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"must hold a segmenter, but has no model\.json: train one first\.$"
    ):
        read_model(tmp_path)
    (tmp_path / "model.json").write_text('{"kind": "encoder"}')
    with pytest.raises(InputError, match=r"holds no segmenter this version can read; train it again\.$"):
        read_model(tmp_path)


def test_at_half_resolution_the_masks_lie_where_the_film_does() -> None:
    """A square's middle is the same in the film and in its mask, wherever the square begins."""
    for start in (7, 8):
        masks = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
        masks[..., start : start + 11, start : start + 11] = 1
        film, mask = halved(masks.float(), masks)
        assert film.shape == mask.shape == (1, 1, 16, 16)
        places = torch.arange(16.0)
        found = [float((places * plane[0, 0].float().sum(0)).sum() / plane.sum()) for plane in (film, mask)]
        assert abs(2 * found[0] - (start + 5)) < 0.2 and abs(2 * found[1] - (start + 5)) <= 0.5
