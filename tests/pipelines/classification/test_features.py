"""An encoder reads bones at the size at which it was pretrained on them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.classification.features import region_features
from pipelines.classification.finished import load_encoder
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.crops import open_crops, square_crop
from pipelines.pretraining.train import pretrain
from pipelines.segmentation.stored import open_segmentation
from pipelines.training.session import LocalSession
from storage.manifest import Store

SIDE, CROP_MM = 40, 12.0


def test_features_are_of_bones_at_the_size_that_the_encoder_knows(
    developed: Any, toys: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, folder = tmp_path / "store", tmp_path / "encoder"
    shutil.copytree(developed.store.root, root)
    store = Store.open(root)
    spacing_mm = np.resize([0.25, 0.4, np.nan], len(store.manifest))
    store.commit(store.manifest.assign(spacing_mm=spacing_mm), store.annotations, store.exclusions)
    store = Store.open(root)
    segmentation = open_segmentation(root, developed.segmentation.model_id)
    config = PretrainingConfig(
        backbone="test_resnet", method="none", crop_pixels=48, crop_mm_per_pixel=CROP_MM / 48, global_size=32
    )
    pretrain(store, segmentation, folder, config, toys.STUDY, LocalSession("cpu"))
    assert json.loads((folder / "model.json").read_text())["encoder"]["crop_mm"] == CROP_MM

    rows = segmentation.regions[segmentation.regions["found"]].reset_index(drop=True)
    settings = replace(toys.CONFIG, input_size=SIDE)
    found_ND = region_features(store, segmentation, folder, rows, settings)
    known = dict(zip(store.manifest["key"], spacing_mm, strict=True))
    squares = []
    for _, row in rows.iterrows():
        scale = known[row["key"]] / (CROP_MM / SIDE)
        squares.append(square_crop(*segmentation.read_region(row), SIDE, None if np.isnan(scale) else scale))
    crops_N2SS = np.stack(squares)
    expected_ND = load_encoder(folder, torch.device("cpu")).features(crops_N2SS[:, 0], crops_N2SS[:, 1])
    np.testing.assert_allclose(found_ND, expected_ND, rtol=1e-5, atol=1e-6)
    unknown = int(rows["key"].map(known).isna().sum())
    assert 0 < unknown < len(rows)
    assert f"{unknown} of {len(rows)} regions have no pixel spacing" in caplog.text

    # and at the side of the cache they are the very squares that pretraining cuts its views from
    crops = open_crops(root, segmentation, 48, mm_per_pixel=CROP_MM / 48)
    images, masks = crops.load(np.arange(len(crops.rows)))
    own_ND = region_features(store, segmentation, folder, crops.rows, replace(settings, input_size=48))
    cached_ND = load_encoder(folder, torch.device("cpu")).features(images, masks)
    np.testing.assert_allclose(own_ND, cached_ND, rtol=1e-5, atol=1e-6)
