"""From store to encoder: the right subjects, the same bits after a stop, features of bone alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipelines.classification.finished import load_encoder
from pipelines.config import StudyConfig
from pipelines.pretraining.backbone import build_backbone
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.crops import open_crops
from pipelines.pretraining.encoder import Encoder
from pipelines.pretraining.train import SimclrLearner, choose_crops, pretrain
from pipelines.segmentation.stored import Segmentation
from pipelines.training.session import LocalSession, StoppedEarly
from storage.errors import ConfigError, InputError
from storage.manifest import Store
from storage.schemas import OUTCOMES

STUDY = StudyConfig(regions=["ulna", "radius"])


def small(**changes: Any) -> PretrainingConfig:
    values: dict[str, Any] = {"backbone": "test_resnet", "steps": 5, "batch_size": 4, "warmup_steps": 1}
    values |= {"crop_pixels": 40, "global_size": 32, "local_size": 32, "num_local": 1, "lr": 0.1}
    values |= {"projection_hidden": 16, "projection_size": 8, "checkpoint_every_steps": 2, "bf16": False}
    return PretrainingConfig(**(values | changes))


class StopsAfter(LocalSession):
    """Asks to stop after one step."""

    def __init__(self, step: int) -> None:
        super().__init__("cpu")
        self.step = step

    def should_stop(self, step: int) -> bool:
        return step == self.step


@pytest.fixture
def segmentation(make_segmentation: Callable[[int], Segmentation]) -> Segmentation:
    """Six films of three subjects, eleven regions."""
    return make_segmentation(6)


def train(store: Store, segmentation: Segmentation, folder: Path, **changes: Any) -> dict[str, float]:
    return pretrain(store, segmentation, folder, small(**changes), STUDY, LocalSession("cpu"))


def test_a_stopped_pretraining_goes_on_bit_for_bit(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    figures = train(store, segmentation, tmp_path / "whole")
    assert (figures["crops"], figures["steps"]) == (7, 5)
    sentence = r"^Stopped after step 3 of 5; the same command goes on from there\.$"
    with pytest.raises(StoppedEarly, match=sentence):
        pretrain(store, segmentation, tmp_path / "stopped", small(), STUDY, StopsAfter(3))
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    assert train(store, segmentation, tmp_path / "stopped") == figures
    assert train(store, segmentation, tmp_path / "stopped") == figures  # finished: nothing is done again
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_pretraining_stops_while_its_crops_are_made(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    with pytest.raises(StoppedEarly, match=r"^Stopped while the films were prepared"):
        pretrain(store, segmentation, tmp_path / "stopped", small(), STUDY, StopsAfter(0))
    assert not list((store.root / "arrays").glob("*.zarr"))
    assert train(store, segmentation, tmp_path / "stopped")["steps"] == 5


def test_by_default_subjects_with_outcome_are_left_out(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    crops = open_crops(store.root, segmentation, 40)
    chosen = choose_crops(crops, store, small(), STUDY)
    assert set(crops.rows["subject"].iloc[chosen]) == {"subject1", "subject2"}
    assert len(choose_crops(crops, store, small(subjects="all"), STUDY)) == 11
    one = choose_crops(crops, store, small(subjects="all"), StudyConfig(regions=["radius"]))
    assert set(crops.rows["region"].iloc[one]) == {"radius"}
    everyone = pd.DataFrame([dict.fromkeys(OUTCOMES.names) | {"subject": f"subject{n}"} for n in range(3)])
    store.write_outcomes(everyone)
    with pytest.raises(
        InputError, match=r"^None of the 11 regions found belongs to a subject without outcome"
    ):
        choose_crops(crops, store, small(), STUDY)


def test_method_none_is_the_encoder_as_initialised(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    assert train(store, segmentation, tmp_path / "none", method="none") == {}
    train(store, segmentation, tmp_path / "again", method="none")
    train(store, segmentation, tmp_path / "other", method="none", seed=1)
    train(store, segmentation, tmp_path / "simclr")
    weights = {
        name: (tmp_path / name / "model.safetensors").read_bytes()
        for name in ("none", "again", "other", "simclr")
    }
    assert weights["none"] == weights["again"]
    assert len(set(weights.values())) == 3
    assert json.loads((tmp_path / "none" / "model.json").read_text()) == {
        "format": 1,
        "kind": "encoder",
        "encoder": {"backbone": "test_resnet", "method": "none"},
        "training": {"warning": None},
    }


def test_features_are_of_bone_alone_and_the_same_again(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    train(store, segmentation, tmp_path)
    encoder = load_encoder(tmp_path, torch.device("cpu"))
    images, masks = open_crops(store.root, segmentation, 40).load(np.arange(11))
    features = encoder.features(images, masks)
    assert features.shape == (11, encoder.num_features) == (11, 96)
    assert features.dtype == np.float32
    assert len(np.unique(features, axis=0)) == 11
    elsewhere = np.where(masks > 0, images, 255 - images)
    again = load_encoder(tmp_path, torch.device("cpu"))
    assert np.array_equal(again.features(elsewhere, masks * 255), features)
    copy = Encoder(encoder.backbone, encoder.state_dict())
    assert np.array_equal(copy.features(images, masks), features)


def test_a_folder_without_encoder(tmp_path: Path) -> None:
    sentence = re.escape(f"{tmp_path} must hold the encoder, but has no model.json.")
    with pytest.raises(InputError, match=f"^{sentence}$"):
        load_encoder(tmp_path, torch.device("cpu"))
    (tmp_path / "model.json").write_text('{"segmenter": {}}')
    with pytest.raises(InputError, match="holds no encoder that this version can read; train it again"):
        load_encoder(tmp_path, torch.device("cpu"))


@pytest.mark.parametrize("num_local", [0, 2])
def test_padding_of_the_tail_is_not_computed_and_changes_nothing(num_local: int) -> None:
    rng = np.random.default_rng(0)
    images, masks = rng.integers(0, 256, (5, 40, 40), dtype=np.uint8), np.ones((5, 40, 40), np.uint8)
    learner = SimclrLearner(build_backbone("test_resnet"), images, masks, small(num_local=num_local))
    learner.model.train()
    alone = learner.batch(np.array([3, 1]), np.ones(2, np.float32), 0)
    padded = learner.batch(np.array([3, 1, 3, 3]), np.array([2, 2, 0, 0], np.float32), 0)
    assert len(padded["image"]) == 2
    losses = [learner.loss(learner.model, batch)[0] for batch in (alone, padded)]
    torch.testing.assert_close(losses[0], losses[1])


def test_dead_embeddings_are_said_in_words(caplog: pytest.LogCaptureFixture) -> None:
    images, masks = np.full((5, 40, 40), 9, np.uint8), np.ones((5, 40, 40), np.uint8)
    learner = SimclrLearner(build_backbone("test_resnet"), images, masks, small())
    learner.model.eval()
    with torch.no_grad():
        learner.validate(learner.model, step=5)
        assert learner.warning is None  # too early to tell
        figures = learner.validate(learner.model, step=50)
    assert figures["whole/embedding_std"] < 1e-3
    assert learner.warning is not None and learner.warning.startswith(
        "The embeddings are collapsing: different"
    )
    assert caplog.messages == [f"Step 50: {learner.warning}"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 0}, "pretraining.batch_size must be at least 1, but is 0."),
        ({"method": "swag"}, "pretraining.method must be one of simclr, none, but is swag."),
        ({"min_content": 2.0}, "pretraining.min_content must be between 0 and 1, but is 2.0."),
        ({"local_scale_min": 0.5}, "pretraining.local_scale_min must be between 0.01 and 0.14, but is 0.5."),
        (
            {"num_global": 1, "num_local": 0},
            "pretraining.num_global + num_local must be at least 2, but is 1.",
        ),
    ],
)
def test_a_bad_value_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        PretrainingConfig(**changes)


def test_an_unknown_backbone_is_told_with_its_neighbours() -> None:
    with pytest.raises(
        ConfigError, match=r"^pretraining\.backbone must be a model of timm \(perhaps resnet50"
    ):
        build_backbone("resnett50")
