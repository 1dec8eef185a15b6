"""A segmented store: every film and region once, crops where the index says, the same bytes after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.config import StudyConfig
from pipelines.progress import silent
from pipelines.segmentation import segment
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.metrics import dice_per_class, disagreement_auroc
from pipelines.segmentation.model import SegmenterSettings
from pipelines.segmentation.predict import Segmenter
from pipelines.segmentation.references import film_entropy
from pipelines.segmentation.stored import open_segmentation
from storage.atomic import write_json
from storage.care.verify import verify
from storage.errors import ConfigError, InputError, StorageError
from storage.manifest import Store


@pytest.fixture
def model_folder(tmp_path: Path, config: SegmentationConfig, study: StudyConfig) -> Path:
    """An untrained segmenter that takes some places for regions; its second reading is framed by the disc."""
    torch.manual_seed(1)
    settings = SegmenterSettings.of(replace(config, second_pass=True, frame_regions=["left"]), study)
    folder = tmp_path / "model"
    folder.mkdir()
    weights = {name: value.contiguous() for name, value in settings.build().state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    write_json(folder / "model.json", {"segmenter": settings.to_dict()})
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_film_and_region_is_there_once(
    make_store: Callable[..., Store], model_folder: Path, study: StudyConfig, config: SegmentationConfig
) -> None:
    store = make_store(num_films=3)
    folder = segment.segment_store(store, model_folder, study, config)
    assert folder.name == segment.model_id(model_folder) and len(folder.name) == 12
    segmentation, segmenter = open_segmentation(store.root, folder.name), Segmenter.load(model_folder)
    assert list(segmentation.films["key"]) == ["k000", "k001", "k002"]
    assert list(segmentation.regions["region"]) == ["left", "right"] * 3
    assert set(segmentation.films["annotator"]) == {"truth"}
    assert segmentation.regions["found"].nunique() == 2, "some found, some not"
    for film in segmentation.films.itertuples():
        pixels = store.read_image(film.key)
        expected = segmenter.predict(pixels, 12)
        np.testing.assert_array_equal(segmentation.label_map(film.row), expected.grid_label_map)
        np.testing.assert_array_equal(segmentation.entropy(film.row), expected.entropy.astype(np.float16))
        np.testing.assert_array_equal(segmentation.expert_weights(film.row), expected.expert_weights)
        dice = dice_per_class(expected.label_map, store.read_masks(film.key)["truth"], 3)
        np.testing.assert_allclose(film.dice, dice, rtol=1e-6)
        opinions = np.stack([mask for name, mask in store.read_masks(film.key).items() if name != "truth"])
        found = disagreement_auroc(film_entropy(expected), expected.label_map, opinions)
        np.testing.assert_allclose(film.disagreement, found, rtol=1e-6)
        for region in segmentation.regions[segmentation.regions["key"] == film.key].itertuples():
            mask = expected.label_map == study.regions.index(region.region) + 1
            assert region.found == mask.any() and region.area_px == mask.sum()
            if region.found:
                image, crop = segmentation.read_region(region)
                box = np.s_[region.y0 : region.y1, region.x0 : region.x1]
                np.testing.assert_array_equal(image, pixels[box])
                np.testing.assert_array_equal(crop, mask[box])
            else:
                with pytest.raises(ValueError, match="look at `found` first"):
                    segmentation.read_region(region)


def test_a_flipped_bit_in_any_of_its_files_is_found(
    make_store: Callable[..., Store], model_folder: Path, study: StudyConfig, config: SegmentationConfig
) -> None:
    store = make_store(num_films=2)
    folder = segment.segment_store(store, model_folder, study, config)
    assert verify(store.root).damages == []
    for name, data in contents(folder).items():
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert f"segmentations/{folder.name}/{name}" in {one.file for one in verify(store.root).damages}
        (folder / name).write_bytes(data)


def test_killed_and_rerun_ends_in_the_same_bytes(
    make_store: Callable[..., Store],
    model_folder: Path,
    study: StudyConfig,
    config: SegmentationConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segment, "FILMS_PER_PART", 2)
    monkeypatch.setattr(segment, "FILMS_PER_CHUNK", 2)
    whole = segment.segment_store(make_store(5), model_folder, study, config)
    store = make_store(5, name="killed")

    def kill_at_four(done: int, total: int, note: str) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment.segment_store(store, model_folder, study, config, kill_at_four)
    assert not (store.root / "segmentations" / whole.name).exists()
    rerun = segment.segment_store(store, model_folder, study, config)
    assert contents(rerun) == contents(whole)
    assert [path.name for path in rerun.parent.iterdir()] == [whole.name]
    before = {path: path.stat().st_mtime_ns for path in rerun.rglob("*")}
    assert segment.segment_store(store, model_folder, study, config) == rerun
    assert {path: path.stat().st_mtime_ns for path in rerun.rglob("*")} == before


def test_slots_in_any_order_end_in_the_same_bytes_and_a_missing_part_is_named(
    make_store: Callable[..., Store],
    model_folder: Path,
    study: StudyConfig,
    config: SegmentationConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segment, "FILMS_PER_PART", 1)
    whole = segment.segment_store(make_store(5), model_folder, study, config)
    task = segment.SegmentTask(
        store=make_store(5, name="spread"), model_folder=model_folder, study=study, config=config
    )
    segment.prepare(task)
    for slot in (2, 0):
        segment.write_parts(task, slot, 3, silent)
    assert segment.missing_parts(task) == [1, 4]
    with pytest.raises(
        StorageError, match="2 of 5 parts of the segmentation are not written, the first is 1;"
    ):
        segment.assemble(task)
    segment.write_parts(task, 1, 3, silent)
    assert contents(segment.assemble(task)) == contents(whole)
    assert segment.missing_parts(task) == [] and segment.assemble(task) == task.folder


def test_films_without_masks_have_no_dice(
    make_store: Callable[..., Store], model_folder: Path, study: StudyConfig, config: SegmentationConfig
) -> None:
    store = make_store(2)
    store.commit(store.manifest, store.annotations.iloc[:0], store.exclusions)
    segmentation = open_segmentation(
        store.root, segment.segment_store(store, model_folder, study, config).name
    )
    assert list(segmentation.films["annotator"]) == ["", ""]
    for column in ("dice", "disagreement"):
        assert [list(values) for values in segmentation.films[column]] == [[], []]


def test_a_segmenter_of_another_study_is_refused(
    make_store: Callable[..., Store], model_folder: Path, config: SegmentationConfig
) -> None:
    with pytest.raises(
        ConfigError, match=r"finds left, right, but study\.regions is whole: choose a segmenter"
    ):
        segment.segment_store(make_store(2), model_folder, StudyConfig(regions=["whole"]), config)


def test_an_unknown_segmentation_is_a_sentence(make_store: Callable[..., Store]) -> None:
    store = make_store(2)
    with pytest.raises(
        InputError, match=r"has no segmentation 0123, only \[\]; run radmill segment with this model"
    ):
        open_segmentation(store.root, "0123")


def test_a_segmentation_of_fewer_or_other_films_is_not_opened(
    make_store: Callable[..., Store], model_folder: Path, study: StudyConfig, config: SegmentationConfig
) -> None:
    store = make_store(3)
    films = store.manifest
    store.commit(films.iloc[:2], store.annotations.iloc[:0], store.exclusions)
    name = segment.segment_store(store, model_folder, study, config).name
    store.commit(films.iloc[:2].assign(laterality="L"), store.annotations, store.exclusions)
    assert list(open_segmentation(store.root, name).films["key"]) == ["k000", "k001"]
    store.commit(films.iloc[:2].assign(pixels_sha256="turned"), store.annotations, store.exclusions)
    with pytest.raises(InputError, match="have other pixels than when"):
        open_segmentation(store.root, name)
    store.commit(films.iloc[1:], store.annotations, store.exclusions)
    with pytest.raises(InputError) as caught:
        open_segmentation(store.root, name)
    assert str(caught.value) == (
        f"Segmentation {name} of {store.root} must hold the films of generation 000005, but lacks 1 of them and "
        "has 1 others; run radmill segment again."
    )
