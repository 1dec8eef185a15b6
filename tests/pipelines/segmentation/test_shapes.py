"""One clean piece per region, and the frame of the second reading."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.segmentation.shapes import clean, feather, merge, upright_frame, warp_linear


def test_clean_keeps_the_largest_piece_without_holes_and_crumbs() -> None:
    label_map = np.zeros((100, 100), np.uint8)
    label_map[10:40, 10:40] = 1
    label_map[20:25, 20:25] = 0  # a hole
    label_map[30:33, 30:33] = 2  # another region inside stays
    label_map[35:37, 35] = 3  # a crumb of another leaves no hole
    label_map[60:70, 60:70] = 1  # a second piece
    label_map[80, 80] = 3  # a crumb
    expected = np.zeros_like(label_map)
    expected[10:40, 10:40] = 1
    expected[30:33, 30:33] = 2
    np.testing.assert_array_equal(clean(label_map, 3), expected)


def hand(angle_deg: float, size: int = 128) -> np.ndarray:
    """Five bars (class 2) above one (class 1), turned clockwise about the middle."""
    label_map = np.zeros((size, size), np.uint8)
    for x in range(44, 84, 8):
        cv2.rectangle(label_map, (x, 40), (x + 4, 68), 2, -1)
    cv2.rectangle(label_map, (54, 80), (70, 100), 1, -1)
    turn = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), -angle_deg, 1)
    return cv2.warpAffine(label_map, turn, (size, size), flags=cv2.INTER_NEAREST)


def through(label_map: np.ndarray, frame: np.ndarray | None) -> np.ndarray:
    assert frame is not None
    return cv2.warpAffine(label_map, frame, (128, 160), flags=cv2.INTER_NEAREST)


@pytest.mark.parametrize("angle_deg", [0, 40, -75, 170])
def test_the_frame_turns_the_hand_upright_into_the_middle(angle_deg: float) -> None:
    turned = through(hand(angle_deg), upright_frame(hand(angle_deg), [2], 160, 128))
    above, below = np.argwhere(turned == 2), np.argwhere(turned == 1)
    np.testing.assert_allclose(above.mean(0), [79.5, 63.5], atol=1.5)
    direction = above.mean(0) - below.mean(0)
    assert direction[0] < 0 and abs(direction[1]) < 0.05 * abs(direction[0])
    upright = through(hand(0), upright_frame(hand(0), [2], 160, 128))
    assert abs(len(above) / (upright == 2).sum() - 1) < 0.1


def test_a_slight_tilt_stays() -> None:
    frame = upright_frame(hand(15), [2], 160, 128)
    assert frame is not None and frame[0, 1] == 0


def test_no_frame_without_its_regions() -> None:
    assert upright_frame(np.ones((64, 64), np.uint8), [2], 64, 64) is None


def test_the_second_reading_fades_in() -> None:
    share = feather(100, 80)
    assert share[0].max() == 0 and share[50, 40] == 1 and 0 < share[3, 40] < 1
    np.testing.assert_allclose(merge(np.zeros(2), np.ones(2), np.array([0.25, 1])), [0.25, 1])


def test_a_plane_seen_through_the_identity_is_itself() -> None:
    plane = np.random.default_rng(0).random((8, 6)).astype(np.float32)
    np.testing.assert_allclose(warp_linear(plane, np.eye(2, 3), 8, 6), plane, atol=1e-6)
    assert warp_linear(plane, np.eye(2, 3), 10, 6)[9].max() == 0
    np.testing.assert_allclose(warp_linear(plane, np.eye(2, 3), 10, 6, extend=True)[9], plane[7], atol=1e-6)
