"""Every measure equals scikit-learn's, weighted and tied, for all resamples at once."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from pipelines.evaluation.metrics import Confusion, auc, average_precision, brier


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, scores with many ties, and weights with zeros."""
    rng = np.random.default_rng(seed)
    outcome_N = rng.integers(0, 2, 40)
    outcome_N[:2] = 0, 1
    weights_BN = rng.integers(0, 3, (5, 40)).astype(float)
    weights_BN[:, :2] = 1
    return outcome_N, rng.integers(0, 8, 40) / 8, weights_BN


@pytest.mark.parametrize("seed", range(5))
def test_ranking_measures_equal_scikit_learn(seed: int) -> None:
    outcome_N, score_N, weights_BN = draw(seed)
    for measure, other in (
        (auc, reference.roc_auc_score),
        (average_precision, reference.average_precision_score),
        (brier, reference.brier_score_loss),
    ):
        expected_B = [other(outcome_N, score_N, sample_weight=weights_N) for weights_N in weights_BN]
        np.testing.assert_allclose(measure(outcome_N, score_N, weights_BN), expected_B, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_threshold_measures_equal_scikit_learn(seed: int) -> None:
    outcome_N, score_N, weights_BN = draw(seed)
    prediction_N = (score_N >= 0.5).astype(int)
    counts = Confusion.count(outcome_N, prediction_N, weights_BN)
    for row, weights_N in enumerate(weights_BN):
        truth = {"y_true": outcome_N, "y_pred": prediction_N, "sample_weight": weights_N}
        composites = {name: value[row] for name, value in counts.composites().items()}
        shares = {name: count[row] / total[row] for name, (count, total) in counts.proportions().items()}
        assert composites["f1"] == pytest.approx(reference.f1_score(**truth))
        assert composites["macro_f1"] == pytest.approx(reference.f1_score(**truth, average="macro"))
        assert composites["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(**truth))
        assert shares["accuracy"] == pytest.approx(reference.accuracy_score(**truth))
        assert shares["sensitivity"] == pytest.approx(reference.recall_score(**truth))
        assert shares["specificity"] == pytest.approx(reference.recall_score(**truth, pos_label=0))
        assert shares["ppv"] == pytest.approx(reference.precision_score(**truth))
        assert shares["npv"] == pytest.approx(reference.precision_score(**truth, pos_label=0))


def test_one_class_only_is_undefined_not_zero() -> None:
    outcome_N, score_N = np.ones(4, dtype=np.int64), np.linspace(0, 1, 4)
    once = np.ones((1, 4))
    assert np.isnan(auc(outcome_N, score_N, once)[0])
    assert np.isnan(average_precision(1 - outcome_N, score_N, once)[0])
    assert np.isnan(auc(outcome_N[:0], score_N[:0], once[:, :0])[0])


def test_textbook_auc() -> None:
    """Of 2 x 2 pairs one is right, one tied, two wrong: 1.5 of 4."""
    outcome_N, score_N = np.array([1, 1, 0, 0]), np.array([0.5, 0.2, 0.5, 0.3])
    assert auc(outcome_N, score_N, np.ones((1, 4)))[0] == pytest.approx(1.5 / 4)
