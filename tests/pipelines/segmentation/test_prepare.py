"""Films on the grid: nothing distorted, gray scale and depth don't matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.segmentation.prepare import (
    compose,
    place,
    prepare,
    standardise,
    stretch,
    warp_film,
    warp_mask,
)


def film(height: int = 200, width: int = 100) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    pixels: np.ndarray = (100 * np.exp(-((y - 60) ** 2 + (x - 40) ** 2) / 800) + y / 4).astype(np.uint8)
    return pixels


def test_the_whole_film_lies_in_the_middle_of_the_grid() -> None:
    placement = place(200, 100, 80, 64)
    assert (placement.scale, placement.offset_y, placement.offset_x) == (0.4, 0.0, 12.0)
    corners = np.array(
        [[-0.5, -0.5, 1], [99.5, 199.5, 1]]
    )  # corners of the film in coordinates of pixel centres
    np.testing.assert_allclose(corners @ placement.matrix.T, [[11.5, -0.5], [51.5, 79.5]])


@pytest.mark.parametrize("grid", [(80, 64), (320, 256)])
def test_a_landmark_lands_where_the_matrix_says(grid: tuple[int, int]) -> None:
    pixels = np.zeros((200, 100), np.float32)
    pixels[96:105, 46:55] = 1  # centre (x 50, y 100)
    matrix = place(200, 100, *grid).matrix
    moved = warp_film(pixels, matrix, *grid)
    centre = np.array(np.nonzero(moved > 0.5)).mean(1)[::-1]
    np.testing.assert_allclose(centre, matrix @ [50, 100, 1], atol=0.5)


def test_composed_matrices_apply_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    first, second, point = rng.random((2, 3)), rng.random((2, 3)), rng.random(2)
    stepwise = second @ [*(first @ [*point, 1]), 1]
    np.testing.assert_allclose(compose(second, first) @ [*point, 1], stepwise)


def test_depth_and_gray_scale_do_not_matter() -> None:
    matrix = place(200, 100, 80, 64).matrix
    eight = prepare(film(), 8, matrix, 80, 64)
    sixteen = prepare(film().astype(np.uint16) * 200 + 3000, 16, matrix, 80, 64)
    assert eight.shape == (80, 64, 2) and eight.dtype == np.uint8
    assert np.abs(eight[..., 0].astype(int) - sixteen[..., 0]).max() <= 3


def test_a_blank_film_stays_flat() -> None:
    assert stretch(np.full((20, 20), 77, np.uint8), 8).max() == 0


def test_masks_are_background_beyond_the_film() -> None:
    mask = warp_mask(np.ones((200, 100), np.uint8), place(200, 100, 80, 64).matrix, 80, 64)
    assert mask.sum() == 80 * 40 and not mask[:, :11].any()


def test_the_network_input_has_mean_zero_and_deviation_one() -> None:
    image = standardise(np.random.default_rng(0).integers(0, 255, (2, 16, 16, 2), dtype=np.uint8))
    assert image.shape == (2, 2, 16, 16) and image.is_contiguous(memory_format=torch.channels_last)
    assert image.mean((2, 3)).abs().max() < 1e-5 and (image.std((2, 3)) - 1).abs().max() < 0.01
