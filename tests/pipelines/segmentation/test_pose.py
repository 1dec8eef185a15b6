"""Which side a film shows, and the pose in which it is read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.segmentation.pose import poses, region_confidence, surest, turn


def three_discs() -> np.ndarray:
    label_map = np.zeros((60, 80), np.uint8)
    for index, centre in enumerate([(20, 20), (60, 15), (40, 45)], start=1):
        cv2.circle(label_map, centre, 6, index, -1)
    return label_map


def test_a_mirrored_film_turns_the_other_way_and_a_turned_one_does_not() -> None:
    label_map = three_discs()
    side = turn(label_map, [1, 2, 3])
    assert side in (-1, 1) and turn(label_map[:, ::-1], [1, 2, 3]) == -side
    assert turn(np.rot90(label_map), [1, 2, 3]) == side
    label_map[label_map == 2] = 0
    assert turn(label_map, [1, 2, 3]) == 0


@pytest.mark.parametrize("mirrored", [True, False])
def test_poses_keep_the_centre_and_the_whole_grid(mirrored: bool) -> None:
    found = poses(60, 80, mirrored)
    assert len(found) == (8 if mirrored else 4)
    np.testing.assert_allclose(found[0], np.eye(2, 3), atol=1e-12)
    for pose in found:
        np.testing.assert_allclose(pose @ [39.5, 29.5, 1], [39.5, 29.5])
        corners = np.array([[0, 0, 1], [79, 0, 1], [79, 59, 1], [0, 59, 1]]) @ pose.T
        assert corners.min() > -12 and corners[:, 0].max() < 91 and corners[:, 1].max() < 71
    assert [np.linalg.det(pose[:, :2]) < 0 for pose in found[:2]] == [False, mirrored]


def test_quarter_turns_are_tried_only_where_no_upright_pose_is_sure() -> None:
    candidates, tried = poses(60, 60, mirrored=True), []

    def confidence(pose: np.ndarray, best: float) -> float:
        tried.append(pose)
        return (
            best if np.allclose(pose, candidates[1]) else (0.7 if np.allclose(pose, candidates[4]) else 0.1)
        )

    assert surest(candidates, 2, lambda pose: confidence(pose, 0.9)) == 1 and len(tried) == 2
    tried.clear()
    assert surest(candidates, 2, lambda pose: confidence(pose, 0.6)) == 4 and len(tried) == 8


def test_confidence_is_the_mean_over_regions_and_a_missing_one_counts_zero() -> None:
    probability = np.zeros((3, 4, 4))
    probability[0] = 0.6
    probability[1, :2], probability[0, :2] = 0.8, 0.2
    assert region_confidence(probability, smallest_px=4) == pytest.approx(0.4)
