"""Metrics against the textbook in small cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.segmentation.metrics import (
    auroc,
    confusion,
    consensus,
    dice_per_class,
    disagreement_auroc,
    edge_distance,
    energy_distance,
    iou_distance,
)

FIRST = np.array([[0, 1, 1], [0, 1, 0]], np.uint8)
SECOND = np.array([[0, 1, 0], [2, 1, 0]], np.uint8)


def test_dice_of_an_absent_class_is_nan() -> None:
    np.testing.assert_array_equal(confusion(FIRST, SECOND, 3), [[2, 0, 1], [1, 2, 0], [0, 0, 0]])
    np.testing.assert_allclose(dice_per_class(FIRST, SECOND, 4), [4 / 5, 0, np.nan])


def test_iou_distance() -> None:
    assert iou_distance(FIRST, SECOND, 4) == pytest.approx(1 - (2 / 3 + 0) / 2)
    assert iou_distance(FIRST, FIRST, 4) == 0
    assert iou_distance(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), 3) == 0


def test_energy_distance_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    samples, masks = rng.integers(0, 3, (4, 6, 6)), rng.integers(0, 3, (3, 6, 6))
    pi, beta = np.array([0.3, 0.7]), np.array([0.5, 0.2, 0.3])
    alpha = [0.15, 0.15, 0.35, 0.35]

    def d(a: np.ndarray, b: np.ndarray) -> float:
        return iou_distance(a, b, 3)

    across = sum(alpha[i] * beta[j] * d(samples[i], masks[j]) for i in range(4) for j in range(3))
    annotators = sum(beta[i] * beta[j] * d(masks[i], masks[j]) for i in range(3) for j in range(3))
    all_pairs = sum(alpha[i] * alpha[j] * d(samples[i], samples[j]) for i in range(4) for j in range(4))
    other_expert = 2 * sum(alpha[i] * alpha[j] * d(samples[i], samples[j]) for i in (0, 1) for j in (2, 3))
    same_expert = 0.3**2 * d(samples[0], samples[1]) + 0.7**2 * d(samples[2], samples[3])
    energy = energy_distance(samples, pi, masks, beta, 3)
    assert energy.v_statistic == pytest.approx(2 * across - all_pairs - annotators)
    assert energy.unbiased == pytest.approx(2 * across - other_expert - same_expert - annotators)


def test_energy_distance_of_the_annotators_themselves_is_zero() -> None:
    masks = np.random.default_rng(1).integers(0, 3, (3, 8, 8))
    energy = energy_distance(masks, np.full(3, 1 / 3), masks, np.full(3, 1 / 3), 3)
    assert energy.v_statistic == pytest.approx(0) and np.isnan(energy.unbiased)


def test_auroc_equals_sklearn_with_ties() -> None:
    rng = np.random.default_rng(2)
    score, positive = rng.integers(0, 6, 200), rng.random(200) < 0.3
    assert auroc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    assert np.isnan(auroc(score, np.zeros(200, bool)))


def test_consensus_and_distance_to_its_edge() -> None:
    masks = np.array([[[0, 1, 1]], [[0, 1, 0]], [[0, 2, 1]]], np.uint8)
    np.testing.assert_array_equal(consensus(masks), [[0, 1, 1]])
    np.testing.assert_array_equal(edge_distance(np.array([[0, 0, 0, 1, 1, 1]])), [[2, 1, 0, 0, 1, 2]])
    assert np.isinf(edge_distance(np.zeros((2, 2), np.uint8))).all()


def test_an_entropy_that_knows_the_side_beats_the_distance() -> None:
    careful = np.zeros((40, 40), np.uint8)
    careful[10:30, 10:30] = 1
    generous = np.zeros_like(careful)
    generous[8:32, 8:32] = 1
    masks = np.stack([careful, careful, generous])
    knowing = (masks[0] != masks[2]).astype(float) + 0.01 * np.random.default_rng(0).random(careful.shape)
    found = disagreement_auroc(knowing, np.roll(careful, 3, 0), masks)
    assert found.entropy == pytest.approx(1) and 0.5 < found.own_edge < found.annotators_edge < 0.9
    assert np.isnan(disagreement_auroc(knowing, careful, np.stack([careful, careful]))).all()
