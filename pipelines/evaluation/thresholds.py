"""The threshold by each rule, chosen on the inner folds of a training part, and what it does to the test subjects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.intervals import wilson
from pipelines.evaluation.metrics import Confusion, Floats, Ints, cumulative_counts

RULES = ("f1", "youden", "sensitivity", "0.5")
SENSITIVITY = 0.9


def choose_threshold(
    outcome_S: Ints, probability_S: Floats, rule: str, sensitivity: float = SENSITIVITY
) -> float:
    """The threshold between two neighbouring probabilities that a rule asks for.

    f1: the best macro-F1; youden: the best Youden index; of equals the one nearest to 0.5 wins. sensitivity:
    the highest that finds at least this share of the positives. 0.5, or one probability only, gives 0.5.
    """
    scores_K = np.unique(probability_S)[::-1]
    if rule == "0.5" or len(scores_K) < 2:
        return 0.5
    (tp_K,), (fp_K,) = cumulative_counts(outcome_S, probability_S, np.ones((1, len(outcome_S))))
    middle_K = (scores_K + np.append(scores_K[1:], scores_K[-1])) / 2
    if rule == "sensitivity":
        return float(middle_K[np.flatnonzero(tp_K >= sensitivity * tp_K[-1] - 1e-9)[0]])
    counts = Confusion(tp=tp_K, fp=fp_K, fn=tp_K[-1] - tp_K, tn=fp_K[-1] - fp_K)
    # Youden's index is 2 * balanced accuracy - 1: the same maximum. Calling everyone positive is no choice.
    gain_K = counts.composites()["macro_f1" if rule == "f1" else "balanced_accuracy"][:-1]
    best = np.flatnonzero(gain_K >= gain_K.max() - 1e-12)
    return float(middle_K[best[np.argmin(np.abs(middle_K[best] - 0.5))]])


def by_rule(cohort: Cohort, inner: pd.DataFrame, sensitivity: float = SENSITIVITY) -> list[dict[str, Any]]:
    """One entry per rule, in the first repeat, where each subject counts once.

    inner: INNER, what the inner folds of each training part predicted of its subjects. Each entry: rule, mean
    threshold over the folds, sensitivity, specificity, ppv, npv, accuracy (Wilson, count, total), f1 and macro_f1.
    """
    first = inner[inner["repeat"] == inner["repeat"].min()]
    parts = {int(str(fold)): part for fold, part in first.groupby("fold")}
    table = []
    for rule in RULES:
        thresholds = {
            fold: choose_threshold(
                part["outcome"].to_numpy(np.int64),
                part["probability"].to_numpy(np.float64),
                rule,
                sensitivity,
            )
            for fold, part in parts.items()
        }
        limit_N = np.array([thresholds.get(int(fold), np.nan) for fold in cohort.fold_NR[:, 0]])
        called_N = (cohort.probability_NR[:, 0] >= limit_N).astype(np.int64)
        counts = Confusion.count(cohort.outcome_N, called_N, cohort.once)
        entry: dict[str, Any] = {"rule": rule, "threshold": float(np.mean(list(thresholds.values())))}
        for name, (count, total) in counts.proportions().items():
            entry[name] = wilson(int(count[0]), int(total[0])).to_dict()
            entry[name] |= {"count": int(count[0]), "total": int(total[0])}
        composites = counts.composites()
        table.append(entry | {name: float(composites[name][0]) for name in ("f1", "macro_f1")})
    return table
