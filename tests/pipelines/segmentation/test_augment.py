"""Random views: reproducible, image and masks move together, what the frame hides is no bone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.segmentation.augment import NARROW, WIDE, augment, cut_frame, random_pose, tone_curve


def film() -> tuple[np.ndarray, np.ndarray]:
    channels = np.full((96, 77, 2), 20, np.uint8)
    mask = np.zeros((2, 96, 77), np.uint8)
    channels[30:60, 30:50] = 230
    mask[:, 30:60, 30:50] = 1
    return channels, mask


def test_the_same_generator_gives_the_same_view() -> None:
    views = [
        augment(*film(), 80, 64, np.random.default_rng([1, 2, 3]), foreign=1.0, wide=1.0, mirror=True)
        for _ in range(2)
    ]
    for first, second in zip(*views, strict=True):
        np.testing.assert_array_equal(first, second)
    other, _ = augment(*film(), 80, 64, np.random.default_rng([1, 2, 4]), foreign=1.0, wide=1.0, mirror=True)
    assert not np.array_equal(views[0][0], other)
    assert other.shape == (80, 64, 2) and other.dtype == np.uint8


def test_image_and_masks_move_together() -> None:
    contrasts = []
    for seed in range(30):
        view, masks = augment(
            *film(), 80, 64, np.random.default_rng(seed), foreign=1.0, wide=1.0, mirror=True
        )
        inside = masks[0] == 1
        assert np.array_equal(masks[0], masks[1]) and set(np.unique(masks)) <= {0, 1}
        if inside.sum() > 200:
            contrasts.append(abs(view[inside, 0].mean() - np.median(view[~inside, 0])))
    assert len(contrasts) > 20 and np.median(contrasts) > 60


def test_a_view_that_is_not_foreign_keeps_the_films_gray_values() -> None:
    channels, masks = film()
    for seed in range(10):
        view, moved = augment(
            channels, masks, 80, 64, np.random.default_rng(seed), foreign=0.0, wide=1.0, mirror=True
        )
        inside = cv2.erode(moved[0], np.ones((3, 3), np.uint8)) > 0
        assert (view[inside] == 230).all()


@pytest.mark.parametrize("mirror", [True, False])
def test_half_of_the_views_are_mirrored_where_asked_and_most_are_nearly_upright(mirror: bool) -> None:
    rng = np.random.default_rng(0)
    linear = np.stack([random_pose((96, 77), 80, 64, rng, WIDE, mirror)[:, :2] for _ in range(400)])
    mirrored = np.linalg.det(linear) < 0
    assert 0.4 < mirrored.mean() < 0.6 if mirror else not mirrored.any()
    angle = np.degrees(np.arctan2(-linear[:, 0, 1], linear[:, 1, 1]))
    assert 0.8 < (np.abs(angle) < 30).mean() < 1 and np.abs(angle).max() < 55


def test_narrow_poses_stay_near_the_film() -> None:
    rng = np.random.default_rng(0)
    linear = np.stack([random_pose((80, 64), 80, 64, rng, NARROW, False)[:, :2] for _ in range(400)])
    angle = np.degrees(np.arctan2(-linear[:, 0, 1], linear[:, 1, 1]))
    scale = np.sqrt(np.linalg.det(linear))
    assert np.abs(angle).max() < 35 and 6 < angle.std() < 8
    assert scale.min() >= 0.85 - 1e-9 and scale.max() <= 1.5 + 1e-9


def test_tone_curves_rise() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        curve = tone_curve(rng)
        assert (np.diff(curve) >= 0).all() and 0 <= curve[0] < curve[-1] <= 1


def test_a_frame_is_one_gray_value() -> None:
    view = np.random.default_rng(0).integers(0, 255, (80, 64, 2), dtype=np.uint8)
    outside = cut_frame(view, np.random.default_rng(3))
    assert 0 < outside.mean() < 0.5 and len(np.unique(view[outside])) == 1
