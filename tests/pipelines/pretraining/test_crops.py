"""The cache of square crops: right pixels, built once, rebuilt when the segmentation changes."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from pipelines.pretraining.crops import open_crops, square_crop
from pipelines.segmentation.stored import Segmentation


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
