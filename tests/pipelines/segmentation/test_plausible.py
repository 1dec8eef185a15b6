"""Region sizes: what trained is plausible at any scale, swapped sizes are not."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.segmentation.plausible import LARGEST, RegionSizes


def label_map(heights: list[int], scale: int = 1) -> np.ndarray:
    """One bar of 10 columns per region."""
    drawn = np.zeros((60 * scale, 12 * scale * len(heights)), np.uint8)
    for index, height in enumerate(heights):
        drawn[: height * scale, 12 * scale * index : (12 * index + 10) * scale] = index + 1
    return drawn


def typical() -> RegionSizes:
    rng = np.random.default_rng(0)
    return RegionSizes.of(
        [label_map([round(h * rng.uniform(0.9, 1.1)) for h in (20, 40, 30)]) for _ in range(50)], 3
    )


def test_mean_and_deviation_of_log_areas_as_numpy_has_them() -> None:
    log = np.log(np.array([[20, 40, 30], [30, 40, 10]]) * 10.0)
    log -= log.mean(1, keepdims=True)
    sizes = RegionSizes.of([label_map([20, 40, 30]), label_map([30, 40, 10]), label_map([0, 9, 9])], 3)
    np.testing.assert_allclose(sizes.mean, log.mean(0))
    np.testing.assert_allclose(sizes.deviation, np.maximum(log.std(0), 0.08))


@pytest.mark.parametrize("scale", [1, 3])
def test_what_trained_is_plausible_and_swapped_regions_are_strange(scale: int) -> None:
    sizes = typical()
    assert sizes.strangeness(label_map([20, 40, 30], scale), 4) < 1
    assert sizes.strangeness(label_map([30, 20, 40], scale), 4) > 3


def test_too_few_regions_are_as_strange_as_can_be() -> None:
    assert typical().strangeness(label_map([20, 40, 0]), 4) == LARGEST
    assert typical().strangeness(label_map([20, 40, 1]), 11) == LARGEST


def test_without_whole_masks_every_size_is_usual() -> None:
    assert RegionSizes.of([], 3).strangeness(label_map([5, 50, 20]), 4) < 1
