"""AUCs on one fixed test set and their covariance (DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014).

Over folds their assumptions fail: each subject trains the models that test the others, so the interval is too
narrow. `check_fixed` refuses such predictions; there the subject bootstrap and Nadeau and Bengio's t stand.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.intervals import LEVEL, Difference, Interval, auc_interval
from pipelines.evaluation.metrics import Floats, Ints
from storage.errors import InputError


def check_fixed(cohort: Cohort) -> None:
    """Raise InputError unless all predictions are one model's on one test set."""
    if not cohort.is_fixed:
        repeats, folds = cohort.fold_NR.shape[1], len(np.unique(cohort.fold_NR))
        raise InputError(
            f"DeLong's method needs one fixed test set, but these predictions come from {repeats} x {folds} folds; "
            "use the subject bootstrap for an interval and Nadeau and Bengio's t for a difference."
        )


def delong(outcome_N: Ints, score_MN: Floats) -> tuple[Floats, Floats]:
    """AUC of every score (M) and their covariance (M x M), by midranks; NaN with fewer than two of a class."""
    positive_N = outcome_N == 1
    m, n = int(positive_N.sum()), int((~positive_N).sum())
    if min(m, n) < 2:
        return np.full(len(score_MN), np.nan), np.full((len(score_MN), len(score_MN)), np.nan)
    everyone_MN = stats.rankdata(score_MN, axis=1)
    among_positive_Mm = stats.rankdata(score_MN[:, positive_N], axis=1)
    among_negative_Mn = stats.rankdata(score_MN[:, ~positive_N], axis=1)
    # The share of the other class that each subject is placed rightly against.
    placed_Mm = (everyone_MN[:, positive_N] - among_positive_Mm) / n
    placed_Mn = 1 - (everyone_MN[:, ~positive_N] - among_negative_Mn) / m
    covariance_MM = np.atleast_2d(np.cov(placed_Mm)) / m + np.atleast_2d(np.cov(placed_Mn)) / n
    return placed_Mm.mean(axis=1), covariance_MM


def delong_interval(cohort: Cohort, score_NR: Floats) -> Interval:
    """AUC with its 95 % interval; InputError unless the test set is fixed."""
    check_fixed(cohort)
    known_N = np.isfinite(score_NR[:, 0])
    auc_M, covariance_MM = delong(cohort.outcome_N[known_N], score_NR[known_N].T)
    value = float(auc_M[0])
    half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(covariance_MM[0, 0])
    if half == 0:  # no pair, or every one, is in the wrong order, which is not certainty
        positives = int(cohort.outcome_N[known_N].sum())
        return auc_interval(value, np.full(1, value), positives, int(known_N.sum()) - positives)
    low, high = np.clip([value - half, value + half], 0, 1)
    return Interval(value, float(low), float(high))


def delong_difference(cohort: Cohort, first_NR: Floats, second_NR: Floats) -> Difference:
    """First AUC minus second among those who have both scores; InputError unless the test set is fixed."""
    check_fixed(cohort)
    both_N = np.isfinite(first_NR[:, 0]) & np.isfinite(second_NR[:, 0])
    scores_2N = np.stack([first_NR[both_N, 0], second_NR[both_N, 0]])
    auc_2, covariance_22 = delong(cohort.outcome_N[both_N], scores_2N)
    value = float(auc_2[0] - auc_2[1])
    contrast_2 = np.array([1.0, -1.0])
    error = float(np.sqrt(max(contrast_2 @ covariance_22 @ contrast_2, 0.0)))
    if not error > 0:  # the same ranking, or too few subjects
        return Difference(value, np.nan, np.nan, np.nan)
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) * error
    low, high = np.clip([value - half, value + half], -1, 1)
    return Difference(value, float(low), float(high), float(2 * stats.norm.sf(abs(value) / error)))
