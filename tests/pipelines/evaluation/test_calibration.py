"""The logistic fit is maximum likelihood; slope and intercept find a planted distortion."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipelines.evaluation.calibration import (
    fit_logistic,
    fit_platt,
    logit,
    recalibrated,
    reliability,
    sigmoid,
)


def test_fit_equals_scikit_learn_for_every_weighting() -> None:
    rng = np.random.default_rng(0)
    x_N = rng.normal(size=80)
    outcome_N = (rng.random(80) < sigmoid(0.5 + 1.5 * x_N)).astype(np.int64)
    weights_BN = rng.integers(0, 3, (4, 80)).astype(float)
    intercept_B, slope_B = fit_logistic(outcome_N, x_N, weights_BN)
    for row, weights_N in enumerate(weights_BN):
        model = LogisticRegression(C=np.inf, tol=1e-10).fit(x_N[:, None], outcome_N, weights_N)
        assert intercept_B[row] == pytest.approx(model.intercept_[0], abs=1e-4)
        assert slope_B[row] == pytest.approx(model.coef_[0, 0], abs=1e-4)


def test_overconfident_probabilities_have_a_slope_below_one() -> None:
    rng = np.random.default_rng(1)
    truth_N = rng.uniform(0.05, 0.95, 20_000)
    outcome_N = (rng.random(20_000) < truth_N).astype(np.int64)
    claimed_N = sigmoid(2 * logit(truth_N) + 0.4)
    intercept_B, slope_B = fit_logistic(outcome_N, logit(claimed_N), np.ones((1, 20_000)))
    assert slope_B[0] == pytest.approx(0.5, abs=0.03)
    assert intercept_B[0] == pytest.approx(-0.2, abs=0.05)


@pytest.mark.parametrize("outcome", [[0, 0, 0, 0], [0, 0, 1, 1]])
def test_one_class_or_separated_classes_have_no_fit(outcome: list[int]) -> None:
    intercept_B, slope_B = fit_logistic(np.array(outcome), np.array([-2.0, -1, 1, 2]), np.ones((1, 4)))
    assert np.isnan(intercept_B[0])
    assert np.isnan(slope_B[0])


@pytest.mark.parametrize("spread", [0.001, 0.03, 30.0])
def test_the_fit_does_not_depend_on_the_unit_of_x(spread: float) -> None:
    """Probabilities of a network that hardly dares to differ need slopes of hundreds."""
    rng = np.random.default_rng(3)
    x_N = rng.normal(size=200)
    outcome_N, once = (rng.random(200) < sigmoid(1.5 * x_N - 0.5)).astype(np.int64), np.ones((1, 200))
    (intercept,), (slope,) = fit_logistic(outcome_N, x_N, once)
    moved, scaled = fit_logistic(outcome_N, 0.2 + spread * x_N, once)
    assert scaled[0] == pytest.approx(slope / spread)
    assert moved[0] == pytest.approx(intercept - 0.2 * slope / spread)


def test_equal_probabilities_have_no_fit() -> None:
    intercept_B, slope_B = fit_logistic(np.array([0, 1, 1]), np.full(3, 0.7), np.ones((2, 3)))
    assert np.isnan([intercept_B, slope_B]).all()


def test_logit_and_sigmoid_are_inverse_and_bounded() -> None:
    p_N = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(sigmoid(logit(p_N)), p_N)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_reliability_counts_everyone_once() -> None:
    rng = np.random.default_rng(2)
    probability_N, outcome_N = rng.random(23), rng.integers(0, 2, 23)
    bins = reliability(outcome_N, probability_N)
    assert sum(b["n"] for b in bins) == 23
    assert sum(b["positive"] for b in bins) == outcome_N.sum()
    assert [b["probability"] for b in bins] == sorted(b["probability"] for b in bins)


def test_platt_scaling_makes_a_distorted_probability_right() -> None:
    rng = np.random.default_rng(0)
    true_N = rng.uniform(0.02, 0.98, 20_000)
    outcome_N = (rng.random(20_000) < true_N).astype(np.int64)
    timid_N = sigmoid(0.4 * logit(true_N) - 0.7)
    slope, intercept = fit_platt(outcome_N, timid_N)
    assert (slope, intercept) == (pytest.approx(2.5, abs=0.1), pytest.approx(1.75, abs=0.1))
    assert np.abs(recalibrated(timid_N, slope, intercept) - true_N).max() < 0.02


def test_platt_scaling_is_finite_where_classes_are_separated_and_never_turns_the_order_round() -> None:
    outcome_N = np.array([0, 0, 0, 1, 1])
    slope, intercept = fit_platt(outcome_N, np.array([0.1, 0.2, 0.3, 0.6, 0.7]))
    assert np.isfinite([slope, intercept]).all() and slope > 0
    assert np.isnan(fit_platt(outcome_N, np.array([0.7, 0.8, 0.6, 0.2, 0.1]))).all()
    assert np.isnan(fit_platt(np.ones(5, np.int64), np.linspace(0.1, 0.9, 5))).all()
    probability_N = np.linspace(0.1, 0.9, 5)
    np.testing.assert_array_equal(recalibrated(probability_N, np.nan, np.nan), probability_N)
