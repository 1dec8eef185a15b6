"""Is a probability of .3 right in 30 % of cases? Slope, intercept, expected, observed, reliability table.

The model is logit P(outcome) = intercept + slope * logit(p) (Cox 1958): slope 1 and intercept 0 are perfect;
a slope above 1 says that probabilities are too timid, as means over correlated bones are. ECE is left out: it
is biased at the sizes of these cohorts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.evaluation.cohort import Cohort, mean_defined
from pipelines.evaluation.intervals import LEVEL, Interval, percentile_interval
from pipelines.evaluation.metrics import Floats, Ints

NEWTON_STEPS = 15
LONGEST_STEP = 5.0  # a first step that overshoots is cut, not trusted


def logit(probability: Floats) -> Floats:
    """Log odds; probabilities of 0 and 1 are moved in by 1e-6."""
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))


def sigmoid(x: Floats) -> Floats:
    """Inverse of `logit`, stable for large values of either sign."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def fit_logistic(outcome_N: Ints | Floats, x_N: Floats, weights_BN: Floats) -> tuple[Floats, Floats]:
    """Maximum likelihood intercept and slope (B each) of outcome on x per weighting, by Newton's method.

    NaN where it does not converge: one class only, classes that x separates completely, one x for all.
    """
    centre, spread = (float(x_N.mean()), float(x_N.std())) if len(x_N) else (0.0, 0.0)
    if not spread:
        return np.full(len(weights_BN), np.nan), np.full(len(weights_BN), np.nan)
    x_N = (x_N - centre) / spread  # else timid probabilities need slopes that no short step reaches
    intercept_B, slope_B = np.zeros(len(weights_BN)), np.zeros(len(weights_BN))
    step_B = np.full(len(weights_BN), np.inf)
    with np.errstate(all="ignore"):  # separated classes run to infinity and are reported as NaN below
        for _ in range(NEWTON_STEPS):
            p_BN = sigmoid(intercept_B[:, None] + slope_B[:, None] * x_N)
            residual_BN, curve_BN = weights_BN * (outcome_N - p_BN), weights_BN * p_BN * (1 - p_BN)
            gradient0_B, gradient1_B = residual_BN.sum(axis=1), residual_BN @ x_N
            h00_B, h01_B, h11_B = curve_BN.sum(axis=1), curve_BN @ x_N, curve_BN @ x_N**2
            determinant_B = h00_B * h11_B - h01_B**2
            delta0_B = (h11_B * gradient0_B - h01_B * gradient1_B) / determinant_B
            delta1_B = (h00_B * gradient1_B - h01_B * gradient0_B) / determinant_B
            intercept_B = intercept_B + np.clip(delta0_B, -LONGEST_STEP, LONGEST_STEP)
            slope_B = slope_B + np.clip(delta1_B, -LONGEST_STEP, LONGEST_STEP)
            step_B = np.maximum(np.abs(delta0_B), np.abs(delta1_B))
    failed_B = ~(step_B < 1e-6)
    slope_B = np.where(failed_B, np.nan, slope_B / spread)
    return np.where(failed_B, np.nan, intercept_B - slope_B * centre), slope_B


def fit_platt(outcome_N: Ints, probability_N: Floats) -> tuple[float, float]:
    """Slope and intercept of a logit calibration with Platt's targets (1999), finite where classes are separated.

    NaN, for none, with one class alone, and where the slope is not above 0: it would turn the order round.
    """
    positive = int(outcome_N.sum())
    negative = len(outcome_N) - positive
    if not (positive and negative):
        return np.nan, np.nan
    target_N = np.where(outcome_N == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    intercept_B, slope_B = fit_logistic(target_N, logit(probability_N), np.ones((1, len(outcome_N))))
    slope, intercept = float(slope_B[0]), float(intercept_B[0])
    return (slope, intercept) if slope > 0 else (np.nan, np.nan)


def recalibrated(probability_N: Floats, slope: float, intercept: float) -> Floats:
    """Probabilities after a logit calibration; as they are where it is undefined."""
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        return probability_N
    return sigmoid(intercept + slope * logit(probability_N))


def reliability(outcome_N: Ints, probability_N: Floats, bins: int = 5) -> list[dict[str, float]]:
    """Groups of nearly equal size by probability: size, positives, mean probability and observed share."""
    order = np.argsort(probability_N, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return [
        {
            "n": len(group),
            "positive": int(outcome_N[group].sum()),
            "probability": float(probability_N[group].mean()),
            "observed": float(outcome_N[group].mean()),
        }
        for group in groups
    ]


def expected_over_observed(outcome_N: Ints, probability_NR: Floats, subjects: Sequence[str]) -> Interval:
    """Positives expected over those observed; 95 % interval on the log scale (Riley 2016): O varies, E does not.

    subjects: whose each row is. Rows of one person vary together: the variance is summed over people.
    """
    observed = int(outcome_N.sum())
    if not observed:
        return Interval(np.nan, np.nan, np.nan)
    ratio = float(probability_NR.mean(axis=1).sum() / observed)
    person_N = np.unique(np.asarray(subjects), return_inverse=True)[1]
    deviation_S = np.bincount(person_N, outcome_N - outcome_N.mean())
    spread = np.sqrt((deviation_S**2).sum()) / observed
    factor = float(np.exp(stats.norm.ppf((1 + LEVEL) / 2) * spread))
    return Interval(ratio, ratio / factor, ratio * factor)


def calibrated(cohort: Cohort, folds: pd.DataFrame) -> Floats:
    """Probabilities (N x R) after each fold's own calibration, fitted in its training part.

    folds: columns repeat (0, 1, ...), fold, slope, intercept; a fold whose fit is undefined keeps its
    probabilities.
    """
    result_NR = cohort.probability_NR.copy()
    fits = {
        (int(row["repeat"]), int(row["fold"])): (float(row["slope"]), float(row["intercept"]))
        for row in folds.to_dict("records")
    }
    for repeat, fold, members in cohort.fold_members(cohort.probability_NR):
        result_NR[members, repeat] = recalibrated(result_NR[members, repeat], *fits[repeat, fold])
    return result_NR


def summary(cohort: Cohort, probability_NR: Floats, weights_BN: Floats) -> dict[str, Any]:
    """Slope, intercept and expected share averaged over repeats, observed share, bins of the first repeat."""
    point = _fit_repeats(cohort, probability_NR, cohort.once)
    resampled = _fit_repeats(cohort, probability_NR, weights_BN)
    unbounded = {"widening": cohort.widening, "lowest": -np.inf, "highest": np.inf}
    return {
        "slope": percentile_interval(float(point[1][0]), resampled[1], **unbounded).to_dict(),
        "intercept": percentile_interval(float(point[0][0]), resampled[0], **unbounded).to_dict(),
        "expected": float(probability_NR.mean()) if probability_NR.size else np.nan,
        "observed": float(cohort.outcome_N.mean()) if len(cohort.outcome_N) else np.nan,
        "expected_over_observed": expected_over_observed(
            cohort.outcome_N, probability_NR, cohort.subjects
        ).to_dict(),
        "bins": reliability(cohort.outcome_N, probability_NR[:, 0]),
    }


def _fit_repeats(cohort: Cohort, probability_NR: Floats, weights_BN: Floats) -> tuple[Floats, Floats]:
    """Intercept and slope (B each), mean over the repeats in which they are defined."""
    fits = [fit_logistic(cohort.outcome_N, logit(p_N), weights_BN) for p_N in probability_NR.T]
    intercept_BR, slope_BR = (np.stack(column, axis=1) for column in zip(*fits, strict=True))
    return mean_defined(intercept_BR), mean_defined(slope_BR)
