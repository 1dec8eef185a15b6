"""Crops lie on the film where their boxes say."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.segmentation.regions import crop_regions


def test_crops_are_padded_and_missing_regions_left_out() -> None:
    pixels = np.arange(100 * 80, dtype=np.uint16).reshape(100, 80)
    label_map = np.zeros((100, 80), np.uint8)
    label_map[0:10, 70:80] = 1  # in the corner
    label_map[20:80, 30:40] = 3
    first, third = crop_regions(pixels, label_map, 3)
    assert (first.index, first.y0, first.x0, first.y1, first.x1, first.area_px) == (1, 0, 66, 14, 80, 100)
    assert (third.index, third.y0, third.x0, third.y1, third.x1, third.area_px) == (3, 16, 26, 84, 44, 600)
    for crop in (first, third):
        box = np.s_[crop.y0 : crop.y1, crop.x0 : crop.x1]
        np.testing.assert_array_equal(crop.image, pixels[box])
        np.testing.assert_array_equal(crop.mask, label_map[box] == crop.index)


def test_a_label_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have the film's size \(10, 10\), but has \(5, 5\)"):
        crop_regions(np.zeros((10, 10), np.uint8), np.zeros((5, 5), np.uint8), 1)
