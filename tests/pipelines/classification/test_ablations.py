"""The hand paper's ablations as configurations: whole film, patches, and all weights trained end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from pipelines.classification.predict import predict
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.classification.train import classify
from pipelines.config import PATCHES
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.crops import open_crops
from pipelines.pretraining.train import choose_crops
from pipelines.reporting.views import cut, views_figure
from pipelines.segmentation.stored import open_segmentation
from pipelines.training.session import LocalSession, StoppedEarly
from storage.errors import ConfigError
from storage.schemas import FOLDS, REGIONS, SUBJECTS
from storage.tables import read_table

SUPERVISED = SupervisedConfig(
    steps=6, warmup_steps=1, batch_size=16, loss="ce", checkpoint_every_steps=2, threads=1
)


def run(toys: ModuleType, developed: Any, folder: Path, **changes: Any) -> Path:
    """What `radmill classify` does with these changes, in one repeat of two folds."""
    names = {"regions", "encoder", "threshold"}
    config = replace(toys.CONFIG, **{name: value for name, value in changes.items() if name in names})
    classify(
        developed.store,
        developed.segmentation,
        developed.segmenter,
        developed.encoder,
        folder,
        config,
        replace(toys.SPLIT, repeats=1, seed=31 + changes.get("folds", 4), folds=changes.get("folds", 4)),
        toys.STUDY,
        supervised=changes.get("supervised"),
        session=changes.get("session"),
    )
    return folder


def test_a_whole_film_has_one_probability_which_is_its_subjects(
    toys: ModuleType, developed: Any, tmp_path: Path
) -> None:
    folder = run(toys, developed, tmp_path, regions="whole")
    regions = read_table(folder / "regions.parquet", REGIONS)
    subjects = read_table(folder / "subjects.parquet", SUBJECTS).set_index("subject")
    assert set(regions["region"]) == {"whole"}
    assert (regions.groupby("key").size() == 1).all()
    pd.testing.assert_series_equal(
        regions.set_index("subject")["probability"].sort_index(),
        subjects["probability"].sort_index(),
        check_names=False,
    )
    assert subjects["mci2"].notna().any()  # of the bone, which stays found


def test_seven_patches_are_averaged_and_the_finished_model_reads_them(
    toys: ModuleType, developed: Any, tmp_path: Path
) -> None:
    folder = run(toys, developed, tmp_path / "classify", regions="patches")
    regions = read_table(folder / "regions.parquet", REGIONS)
    subjects = read_table(folder / "subjects.parquet", SUBJECTS).set_index("subject")
    evaluable = regions[regions["evaluable"]]
    assert set(regions["region"]) == set(PATCHES)
    means = evaluable.groupby("subject")["probability"].mean()
    assert np.allclose(means, subjects["probability"].dropna().sort_index())
    predict(folder, developed.store, tmp_path / "predict", toys.STUDY)
    assert set(read_table(tmp_path / "predict" / "regions.parquet", REGIONS)["region"]) == set(PATCHES)


def test_patches_lie_on_the_film_and_are_the_same_in_every_run(developed: Any) -> None:
    patches = open_segmentation(developed.store.root, "patches")
    again = open_segmentation(developed.store.root, "patches")
    pd.testing.assert_frame_equal(patches.regions, again.regions)
    films = developed.store.manifest.set_index("key")
    assert (patches.regions.groupby("key").size() == 7).all() and len(patches.regions) == 7 * len(films)
    for row in patches.regions.iloc[:14].itertuples():
        image, valid = patches.read_region(row)
        whole = developed.store.read_image(row.key)
        side = min(whole.shape) // 2
        assert image.shape == valid.shape == (side, side)
        np.testing.assert_array_equal(image, whole[row.y0 : row.y1, row.x0 : row.x1])
    assert patches.regions[["y0", "x0"]].drop_duplicates().shape[0] > len(films)


def test_pretraining_takes_the_patches_of_subjects_without_outcome(toys: ModuleType, developed: Any) -> None:
    patches = open_segmentation(developed.store.root, "patches")
    crops = open_crops(developed.store.root, patches, 32)
    config = PretrainingConfig(regions="patches", crop_pixels=32)
    chosen = choose_crops(crops, developed.store, config, toys.STUDY)
    without = ~developed.store.manifest["subject"].isin(developed.store.outcomes["subject"])
    assert len(chosen) == 7 * without.sum()
    assert set(crops.rows["region"]) == set(PATCHES)


def test_fine_tuning_trains_every_weight_and_makes_a_finished_model(
    toys: ModuleType, developed: Any, tmp_path: Path
) -> None:
    folder = run(toys, developed, tmp_path / "classify", encoder="fine_tuned", supervised=SUPERVISED, folds=2)
    start = load_file(developed.encoder / "model.safetensors")
    tuned = load_file(folder / "model.safetensors")
    moved = [name for name, weights in start.items() if not np.array_equal(weights, tuned[f"encoder.{name}"])]
    assert {"conv1.0.weight", "layer4.0.conv1.weight"} <= set(moved)
    subjects = read_table(folder / "subjects.parquet", SUBJECTS)
    assert subjects["probability"].notna().sum() > 40 and set(subjects["method"]) == {"none, fine-tuned"}
    assert not (folder / "checkpoints").exists()
    chosen = read_table(folder / "folds.parquet", FOLDS)
    assert (chosen["train"] < chosen["train"].max() + 20).all() and (chosen["train_positive"] > 0).all()
    predict(folder, developed.store, tmp_path / "predict", toys.STUDY)
    again = read_table(tmp_path / "predict" / "subjects.parquet", SUBJECTS)
    assert again["probability"].notna().sum() >= 40


class StopsOnce(LocalSession):
    """Asks to stop at one step of the second training."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.asked = 0

    def should_stop(self, step: int) -> bool:
        self.asked += 1
        return self.asked == SUPERVISED.steps + 3


@pytest.mark.slow
def test_fine_tuning_that_was_stopped_ends_in_the_same_bytes(
    toys: ModuleType, developed: Any, tmp_path: Path
) -> None:
    words = {"encoder": "fine_tuned", "supervised": SUPERVISED, "folds": 2}
    whole = run(toys, developed, tmp_path / "whole", **words)
    with pytest.raises(StoppedEarly):
        run(toys, developed, tmp_path / "resumed", **words, session=StopsOnce())
    resumed = run(toys, developed, tmp_path / "resumed", **words)
    for name in ("subjects.parquet", "regions.parquet", "model.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()


def test_fine_tuning_refuses_the_films_supcon(toys: ModuleType, developed: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set pretraining\.method instead"):
        run(
            toys,
            developed,
            tmp_path,
            encoder="fine_tuned",
            supervised=replace(SUPERVISED, supcon=True),
        )


def test_figure_3_shows_every_region_and_what_content_aware_changes(toys: ModuleType, developed: Any) -> None:
    config = PretrainingConfig(crop_pixels=64, global_size=48, local_size=32)
    words = (developed.store, developed.segmentation, config, toys.STUDY, "PHANTOM DATA")
    svg = views_figure(*words)
    assert all(f">{word}</text>" in svg for word in (*toys.STUDY.regions, "conventional", "content-aware"))
    assert "PHANTOM DATA" in svg and views_figure(*words) == svg
    fewer = views_figure(developed.store, developed.segmentation, replace(config, num_local=3), toys.STUDY)
    frames = [figure.count('id="figure-views-patch_') for figure in (svg, fewer)]
    assert frames[0] - frames[1] == 2 * 2  # a local view of either kind for both regions
    crop_2SS = np.zeros((2, 64, 64), np.uint8)
    crop_2SS[:, 24:40, 24:40] = 1
    crops_N2SS = np.repeat(crop_2SS[None], 8, axis=0)
    anywhere, aware = (cut(crops_N2SS, config, kind)[0].content_NV for kind in (False, True))
    assert (anywhere < config.min_content).any() and (aware >= config.min_content).all()
