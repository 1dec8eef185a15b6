"""Weights to start from are known by what lies beside them, and refused where they know the answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from pipelines.pretraining.origin import Origin, origin_of
from pipelines.training import seen
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import ANNOTATIONS, EXCLUSIONS, MANIFEST, OUTCOMES
from storage.shards import ShardWriter
from storage.tables import empty


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two subjects with a film each; subject0 alone has an outcome."""
    store = Store.create(tmp_path / "store", "phantom")
    with ShardWriter(tmp_path / "store" / "shards" / "radiographs-000000-0.tar") as shard:
        films = [
            dict.fromkeys(MANIFEST.names)
            | {"subject": f"subject{number}", "pixels_sha256": f"p{number}", "shard": shard.path.name}
            | {"key": f"key{number}", **asdict(shard.add(f"key{number}.image.png", b"x"))}
            for number in range(2)
        ]
    store.commit(pd.DataFrame(films), empty(ANNOTATIONS), empty(EXCLUSIONS))
    outcome = dict.fromkeys(OUTCOMES.names) | {"subject": "subject0", "outcome": 1}
    store.write_outcomes(pd.DataFrame([outcome]))
    return store


def weights(folder: Path, films: pd.DataFrame, **described: str) -> str:
    """An encoder's folder as a training leaves it; the path of its weights."""
    folder.mkdir()
    encoder = {"backbone": "test_resnet", **described}
    document = {"format": 1, "kind": "encoder", "encoder": encoder, "training": {}}
    (folder / "model.json").write_text(json.dumps(document | {"seen": {"encoder": seen.written(films)}}))
    return str(folder / "model.safetensors")


@pytest.mark.parametrize("described", [{"method": "supcon"}, {"method": "none", "outcomes_by": "supcon"}])
def test_outcomes_learnt_are_not_brought_back(
    store: Store, tmp_path: Path, described: dict[str, str]
) -> None:
    path = weights(tmp_path / "encoder", store.manifest, **described)
    with pytest.raises(
        InputError, match=r"has learnt from outcomes \(supcon\), also of 1 subject with outcome"
    ):
        origin_of(path, store)


def test_outcomes_of_nobody_knows_whom_are_refused(store: Store, tmp_path: Path) -> None:
    path = weights(tmp_path / "encoder", store.manifest, method="supcon")
    beside = tmp_path / "encoder" / "model.json"
    document = json.loads(beside.read_text())
    del document["seen"]
    beside.write_text(json.dumps(document))
    with pytest.raises(
        InputError, match=r"learnt from outcomes \(supcon\), and its model.json does not say whose"
    ):
        origin_of(path, store)


def test_under_another_key_the_pixels_tell(store: Store, tmp_path: Path) -> None:
    films = store.manifest.assign(subject=["other0", "other1"])
    with pytest.raises(InputError, match="has learnt from outcomes"):
        origin_of(weights(tmp_path / "encoder", films, method="supcon"), store)


def test_whom_the_weights_saw_goes_along(store: Store, tmp_path: Path) -> None:
    films = store.manifest
    told = origin_of(
        weights(tmp_path / "strangers", films[films["subject"] == "subject1"], method="supcon"), store
    )
    assert told.described() == {"outcomes_by": "supcon"}
    images_alone = origin_of(weights(tmp_path / "images", films, method="simclr"), store)
    assert images_alone.described() == {}
    assert images_alone.seen == seen.written(films)
    both = seen.merged(told.seen, images_alone.seen)
    assert both == seen.written(films)


def test_of_other_weights_nothing_is_known(store: Store, tmp_path: Path) -> None:
    for source in (None, "imagenet", str(tmp_path / "published.safetensors")):
        assert (origin_of(source, store).seen, origin_of(source, store).described()) == ({}, {})


@pytest.mark.parametrize("text", ["{broken", "[1]", '{"encoder": "vit"}', '{"encoder": {}}'])
def test_a_model_json_of_another_program_says_nothing(store: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    assert origin_of(str(tmp_path / "model.safetensors"), store) == Origin()
