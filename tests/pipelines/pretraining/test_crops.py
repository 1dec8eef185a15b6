"""The cache of square crops: right pixels, built once, rebuilt when the segmentation changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.pretraining.crops import open_crops, square_crop
from pipelines.pretraining.rebuild import cache_names, rebuild_caches
from pipelines.segmentation.stored import Segmentation
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import ANNOTATIONS, EXCLUSIONS, MANIFEST
from storage.shards import ShardWriter
from storage.tables import empty


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_region_lies_in_the_middle_with_its_proportions() -> None:
    image = np.tile(np.arange(100, 200, dtype=np.uint16)[:, None], (1, 40))
    mask = np.ones((100, 40), bool)
    square, square_mask = square_crop(image, mask, 50)
    assert square.shape == square_mask.shape == (50, 50)
    assert (square_mask.any(0).sum(), square_mask.any(1).sum()) == (20, 50)
    assert square_mask[:, 15:35].all() and not square_mask[:, :15].any()
    assert square[0, 25] < 5 and square[-1, 25] > 250
    assert (np.diff(square[:, 25].astype(int)) > 0).all()


def test_gray_values_do_not_depend_on_the_films_scale() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 200, (30, 60)).astype(np.uint16)
    mask = rng.random((30, 60)) < 0.5
    small, _ = square_crop(image, mask, 48)
    large, _ = square_crop(image * 300 + 1000, mask, 48)
    assert np.abs(small.astype(int) - large).max() <= 1


def test_a_flat_region_does_no_harm() -> None:
    square, mask = square_crop(np.full((9, 9), 7, np.uint8), np.eye(9, dtype=bool), 32)
    assert (square == 0).all() and mask.any()


def test_the_cache_holds_the_found_regions_in_order(
    make_segmentation: Callable[[int], Segmentation], tmp_path: Path
) -> None:
    segmentation = make_segmentation(5)
    crops = open_crops(tmp_path / "store", segmentation, 32)
    assert len(crops.rows) == 9  # film 3 lacks one of its two regions
    chosen = np.array([8, 0, 4])
    images, masks = crops.load(chosen)
    for place, row in enumerate(chosen):
        image, mask = square_crop(*segmentation.read_region(crops.rows.iloc[row]), 32)
        assert np.array_equal(images[place], image) and np.array_equal(masks[place], mask)


def test_at_a_fixed_scale_a_pixel_is_as_many_millimetres_in_every_crop() -> None:
    image = np.tile(np.arange(100, 200, dtype=np.uint16)[:, None], (1, 40))
    square, mask = square_crop(image, np.ones((100, 40), bool), 64, scale=0.5)
    assert (mask.any(0).sum(), mask.any(1).sum()) == (20, 50)
    large, large_mask = square_crop(image, np.ones((100, 40), bool), 64, scale=1.0)
    assert (large_mask.any(0).sum(), large_mask.any(1).sum()) == (40, 64)
    assert np.array_equal(
        large[:, 32].astype(int), square_crop(image, np.ones((100, 40), bool), 100)[0][18:82, 50]
    )
    assert square.any()


def test_a_cache_at_a_fixed_scale_leaves_out_films_without_spacing(
    make_segmentation: Callable[[int], Segmentation], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segmentation, root = make_segmentation(3), tmp_path / "store"
    store = Store.create(root, "phantom")
    with ShardWriter(root / "shards" / "radiographs-000000-0.tar") as shard:
        placed = {f"key{number}": asdict(shard.add(f"key{number}.image.png", b"x")) for number in range(3)}
    known = {"subject": "s", "shard": shard.path.name}
    films = [dict.fromkeys(MANIFEST.names) | known | {"key": key} | at for key, at in placed.items()]
    manifest = pd.DataFrame(films).assign(spacing_mm=[0.1, None, 0.2])
    store.commit(manifest, empty(ANNOTATIONS), empty(EXCLUSIONS))
    crops = open_crops(root, segmentation, 32, mm_per_pixel=0.4)
    assert crops.path.name == "crops-0123456789ab-32-400um.zarr"
    assert crops.rows["key"].tolist() == ["key0", "key0", "key2", "key2"]
    assert caplog.messages == ["2 of 6 regions have no pixel spacing and are left out."]
    images, _ = crops.load(np.arange(4))
    for place, scale in ((0, 0.25), (3, 0.5)):
        region = segmentation.read_region(crops.rows.iloc[place])
        assert np.array_equal(images[place], square_crop(*region, 32, scale)[0])
    assert cache_names(root, ["crops"]) == [crops.path.name]
    before = digests(crops.path)
    (crops.path / "image" / "zarr.json").write_text("{}")
    assert rebuild_caches(root, [crops.path.name]) == [crops.path.name]
    assert digests(crops.path) == before
    store.commit(manifest.assign(spacing_mm=None), empty(ANNOTATIONS), empty(EXCLUSIONS))
    with pytest.raises(
        InputError, match=r"^None of the 3 films tells its pixel spacing, which pretraining\.crop"
    ):
        open_crops(root, segmentation, 32, mm_per_pixel=0.4)


def test_the_cache_is_built_once_the_same_again_and_anew_for_other_regions(
    make_segmentation: Callable[[int], Segmentation], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    crops = open_crops(store, make_segmentation(3), 32)
    first, time = digests(crops.path), crops.path.stat().st_mtime_ns
    assert open_crops(store, make_segmentation(3), 32).path.stat().st_mtime_ns == time
    grown = open_crops(store, make_segmentation(5), 32)
    assert len(grown.load(np.arange(9))[0]) == 9
    open_crops(store, make_segmentation(3), 32)
    assert digests(crops.path) == first
