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
from pipelines.pretraining.config import METHODS, PretrainingConfig
from pipelines.pretraining.crops import open_crops
from pipelines.pretraining.encoder import Encoder
from pipelines.pretraining.train import choose_crops, pretrain
from pipelines.segmentation.stored import Segmentation
from pipelines.training.session import LocalSession, StoppedEarly
from storage.errors import ConfigError, InputError, TrainingError
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


@pytest.mark.parametrize("method", METHODS[:-1])
def test_a_stopped_pretraining_goes_on_bit_for_bit(
    method: str, store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    # a queue that fills from the start and is full at step 2: what comes after the stop hangs on it
    config = small(method=method, queue_batches=1, queue_from_epoch=0, num_prototypes=4, frozen_epochs=0)
    outcomes = {"subject0": 1, "subject1": 0} if method == "supcon" else {}

    def run(folder: str, session: LocalSession) -> dict[str, float]:
        return pretrain(store, segmentation, tmp_path / folder, config, STUDY, session, outcomes=outcomes)

    figures = run("whole", LocalSession("cpu"))
    assert (figures["crops"], figures["steps"]) == (11 if outcomes else 7, 5)
    sentence = r"^Stopped after step 3 of 5; the same command goes on from there\.$"
    with pytest.raises(StoppedEarly, match=sentence):
        run("stopped", StopsAfter(3))
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    assert run("stopped", LocalSession("cpu")) == figures
    assert run("stopped", LocalSession("cpu")) == figures  # finished: nothing is done again
    if method == "swav":
        assert figures["queued"] == 4
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
    known = choose_crops(crops, store, small(), STUDY, {"subject2": 1})
    assert set(crops.rows["subject"].iloc[known]) == {"subject2"}
    with pytest.raises(
        InputError, match=r"^None of the 11 regions found belongs to a subject without outcome"
    ):
        choose_crops(crops, store, small(), STUDY)


def test_supcon_hears_outcomes_and_says_where_there_are_none(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    def run(folder: str, outcomes: dict[str, int], **changes: Any) -> bytes:
        config = small(method="supcon", subjects="all", **changes)
        pretrain(
            store, segmentation, tmp_path / folder, config, STUDY, LocalSession("cpu"), outcomes=outcomes
        )
        return (tmp_path / folder / "model.safetensors").read_bytes()

    outcomes = {"subject0": 1, "subject1": 0, "subject2": 0}
    weights = [run("none", {}), run("both", outcomes, class_balance=False), run("balanced", outcomes)]
    weights += [run("minority", outcomes, supervised_minority=True)]
    assert len(set(weights)) == 4
    training = [
        json.loads((tmp_path / name / "model.json").read_text())["training"] for name in ("none", "both")
    ]
    assert "SupCon was given no outcomes" in training[0]["warning"]
    assert "SupCon was given no outcomes" not in training[1]["warning"]


def test_it_starts_from_the_weights_it_is_given(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    train(store, segmentation, tmp_path / "first", method="none", seed=1, channels=3)
    first = tmp_path / "first" / "model.safetensors"
    train(store, segmentation, tmp_path / "second", method="none", channels=3, initial_weights=str(first))
    assert (tmp_path / "second" / "model.safetensors").read_bytes() == first.read_bytes()
    with pytest.raises(InputError, match=r"they are for 3 channels; set pretraining\.channels=3\.$"):
        train(store, segmentation, tmp_path / "third", initial_weights=str(first))


def test_a_loss_that_is_not_finite_names_its_films_and_leaves_the_last_good_checkpoint(
    store: Store, segmentation: Segmentation, tmp_path: Path
) -> None:
    diverging = {"lr": 2e9, "warmup_steps": 10, "optimizer": "adamw", "method": "vicreg"}
    with pytest.raises(TrainingError) as caught:
        train(store, segmentation, tmp_path / "run", steps=50, checkpoint_every_steps=1, **diverging)
    sentence = (
        r"The loss of step \d+ is (nan|inf) \(first samples: key\d (ulna|radius), .+\); lower pretraining\.lr"
    )
    assert re.match(sentence, str(caught.value))
    kept = list((tmp_path / "run" / "checkpoints").iterdir())
    assert kept
    for folder in kept:
        state = torch.load(folder / "state.pt", weights_only=True)
        assert all(tensor.isfinite().all() for tensor in state["model"].values())


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
        "seen": {"encoder": {"subjects": [], "pixels": []}},
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


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 0}, "pretraining.batch_size must be at least 1, but is 0."),
        (
            {"method": "swag"},
            "pretraining.method must be one of simclr, supcon, swav, vicreg, none, but is swag.",
        ),
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
