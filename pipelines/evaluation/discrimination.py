"""How well probabilities rank the subjects: within folds (primary), pooled, and against another score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation import metrics
from pipelines.evaluation.cohort import Cohort, mean_defined
from pipelines.evaluation.delong import delong_difference
from pipelines.evaluation.intervals import auc_interval, corrected_resampled_t, percentile_interval
from pipelines.evaluation.metrics import Floats

POOLED_MEASURES: dict[str, Callable[..., Floats]] = {
    "auc": metrics.auc,
    "average_precision": metrics.average_precision,
    "brier": metrics.brier,
}


def mean_auc(
    cohort: Cohort, score_NR: Floats, weights_BN: Floats, *, trained: bool = True
) -> dict[str, float]:
    """Mean within-fold AUC of a score over all repeats, with its interval over the resamples `weights_BN`.

    trained: whether the folds' training parts made the score; the interval of a given one is not widened.
    """
    value = float(mean_defined(cohort.within_fold_auc(score_NR, cohort.once))[0])
    resampled_B = mean_defined(cohort.within_fold_auc(score_NR, weights_BN))
    counts = _people(cohort, score_NR)
    return auc_interval(value, resampled_B, *counts, cohort.widening if trained else 1.0).to_dict()


def auc_per_fold(cohort: Cohort) -> list[dict[str, float]]:
    """Repeat, fold, size, positives and AUC of every fold; NaN where a fold lacks a class."""
    folds = cohort.fold_members(cohort.probability_NR)
    auc_F = cohort.within_fold_auc(cohort.probability_NR, cohort.once)[0, : len(folds)]
    return [
        {
            "repeat": repeat,
            "fold": fold,
            "n": len(members),
            "positive": int(cohort.outcome_N[members].sum()),
            "auc": float(value),
        }
        for (repeat, fold, members), value in zip(folds, auc_F, strict=True)
    ]


def auc_all_regions(
    subjects: pd.DataFrame, cohort: Cohort, weights_BN: Floats, num_regions: int
) -> dict[str, float]:
    """The primary measure among subjects with every region of the study: no mean lacks a bone."""
    used = subjects.drop_duplicates("subject").set_index("subject")["regions_used"]
    whole_N = (used.reindex(cohort.subjects) == num_regions).to_numpy(bool)
    score_NR = np.where(whole_N[:, None], cohort.probability_NR, np.nan)
    counts = {"n": int(whole_N.sum()), "positive": int(cohort.outcome_N[whole_N].sum())}
    return counts | mean_auc(cohort, score_NR, weights_BN)


def pooled(cohort: Cohort, probability_NR: Floats, weights_BN: Floats) -> dict[str, Any]:
    """AUC, average precision and Brier score over all folds of a repeat together, averaged over repeats."""

    def over_repeats(measure: Callable[..., Floats], weights: Floats) -> Floats:
        columns = [measure(cohort.outcome_N, probability_N, weights) for probability_N in probability_NR.T]
        return mean_defined(np.stack(columns, axis=1))

    found: dict[str, Any] = {}
    for name, measure in POOLED_MEASURES.items():
        value, resampled_B = float(over_repeats(measure, cohort.once)[0]), over_repeats(measure, weights_BN)
        if name == "auc":
            counts = _people(cohort, probability_NR)
            interval = auc_interval(value, resampled_B, *counts, cohort.widening)
        else:
            interval = percentile_interval(value, resampled_B, cohort.widening)
        found[name] = interval.to_dict()
    return found


def _people(cohort: Cohort, score_NR: Floats) -> tuple[int, int]:
    """Subjects with a score who have a positive, and a negative outcome; one of several rows may have both."""
    scored_N = np.isfinite(score_NR).any(axis=1)
    subjects_N = np.array(cohort.subjects)
    positive, negative = (len(np.unique(subjects_N[scored_N & (cohort.outcome_N == y)])) for y in (1, 0))
    return positive, negative


def paired_difference(cohort: Cohort, first_NR: Floats, second_NR: Floats) -> dict[str, float]:
    """AUC of one score minus another's among the subjects who have both, and its p value.

    Over folds: within-fold AUCs by Nadeau and Bengio's corrected t. On one fixed test set: DeLong.
    """
    if cohort.is_fixed:
        return delong_difference(cohort, first_NR, second_NR).to_dict()
    both_NR = np.isfinite(first_NR) & np.isfinite(second_NR)
    first_F, second_F = (
        cohort.within_fold_auc(np.where(both_NR, score, np.nan), cohort.once)[0]
        for score in (first_NR, second_NR)
    )
    num_folds = len(np.unique(cohort.fold_NR))
    gain_RF = np.full((cohort.fold_NR.shape[1], num_folds), np.nan)
    for place, (repeat, fold, _) in enumerate(cohort.fold_members(first_NR)):
        gain_RF[repeat, np.searchsorted(np.unique(cohort.fold_NR), fold)] = first_F[place] - second_F[place]
    gain = corrected_resampled_t(gain_RF, cohort.test_over_train)
    # with few folds t reaches further than any two AUCs can be apart
    low, high = np.clip((gain.low, gain.high), -1, 1)
    return replace(gain, low=float(low), high=float(high)).to_dict()
