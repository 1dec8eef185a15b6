"""Measures of a binary prediction, for one weighting of the subjects or for thousands at once.

Letters: B resamples, N subjects, K distinct scores. A bootstrap resample is a row of weights: how often each
subject was drawn. So one definition serves the point value (weights of one) and its interval, at the cost of
a few array operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is zero: an undefined measure is shown as such, never as 0 or 1."""
    undefined = np.full(np.shape(denominator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0))


def cumulative_counts(outcome_N: Ints, score_N: Floats, weights_BN: Floats) -> tuple[Floats, Floats]:
    """Weighted true and false positives (B x K each) at or above every distinct score, highest first."""
    order = np.argsort(-score_N, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(score_N[order]) != 0, True))
    positive_N = (outcome_N[order] == 1).astype(np.float64)
    sorted_BN = weights_BN[:, order]
    true_BK = np.cumsum(sorted_BN * positive_N, axis=1)[:, last_of_tie]
    false_BK = np.cumsum(sorted_BN * (1 - positive_N), axis=1)[:, last_of_tie]
    return true_BK, false_BK


def auc(outcome_N: Ints, score_N: Floats, weights_BN: Floats) -> Floats:
    """Area under the ROC curve per weighting (B); ties count half; NaN where one class has no weight."""
    if not len(outcome_N):
        return np.full(len(weights_BN), np.nan)
    true_BK, false_BK = cumulative_counts(outcome_N, score_N, weights_BN)
    step_BK = np.diff(false_BK, axis=1, prepend=0)
    middle_BK = true_BK - np.diff(true_BK, axis=1, prepend=0) / 2
    return divide((step_BK * middle_BK).sum(axis=1), true_BK[:, -1] * false_BK[:, -1])


def average_precision(outcome_N: Ints, score_N: Floats, weights_BN: Floats) -> Floats:
    """Average precision per weighting (B): sum of precision times gain in recall; NaN without positives."""
    if not len(outcome_N):
        return np.full(len(weights_BN), np.nan)
    true_BK, false_BK = cumulative_counts(outcome_N, score_N, weights_BN)
    gain_BK = np.diff(true_BK, axis=1, prepend=0)
    precision_BK = np.nan_to_num(divide(true_BK, true_BK + false_BK))
    return divide((gain_BK * precision_BK).sum(axis=1), true_BK[:, -1])


def brier(outcome_N: Ints, probability_N: Floats, weights_BN: Floats) -> Floats:
    """Mean squared distance between probability and outcome per weighting (B)."""
    return divide(weights_BN @ (probability_N - outcome_N) ** 2, weights_BN.sum(axis=1))


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of the four cells; each a scalar array or one value per resample (B)."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats

    @classmethod
    def count(cls, outcome_N: Ints, prediction_N: Ints, weights_BN: Floats) -> Confusion:
        """Weighted counts per resample."""
        positive_N, called_N = outcome_N == 1, prediction_N == 1
        return cls(
            tp=weights_BN @ (positive_N & called_N).astype(np.float64),
            fp=weights_BN @ (~positive_N & called_N).astype(np.float64),
            fn=weights_BN @ (positive_N & ~called_N).astype(np.float64),
            tn=weights_BN @ (~positive_N & ~called_N).astype(np.float64),
        )

    def proportions(self) -> dict[str, tuple[Floats, Floats]]:
        """Count and total of every measure that is a proportion of subjects."""
        return {
            "sensitivity": (self.tp, self.tp + self.fn),
            "specificity": (self.tn, self.tn + self.fp),
            "ppv": (self.tp, self.tp + self.fp),
            "npv": (self.tn, self.tn + self.fn),
            "accuracy": (self.tp + self.tn, self.tp + self.fp + self.fn + self.tn),
        }

    def composites(self) -> dict[str, Floats]:
        """F1 of the positive class, macro-F1 and balanced accuracy: no proportions, so no Wilson interval."""
        f1 = divide(2 * self.tp, 2 * self.tp + self.fp + self.fn)
        f1_negative = divide(2 * self.tn, 2 * self.tn + self.fp + self.fn)
        sensitivity, specificity = divide(self.tp, self.tp + self.fn), divide(self.tn, self.tn + self.fp)
        return {
            "f1": f1,
            "macro_f1": (f1 + f1_negative) / 2,
            "balanced_accuracy": (sensitivity + specificity) / 2,
        }
