"""ROC and PR curves on a fixed grid of 101 points, with pointwise 95 % bands from resampled subjects.

The ROC curve is the vertical average of the within-fold curves, so that the area under it is the primary AUC.
The PR curve pools the folds of a repeat and averages over repeats: within one small fold precision is mostly
noise.
"""

from __future__ import annotations

import numpy as np

from pipelines.evaluation.cohort import Cohort, mean_defined
from pipelines.evaluation.intervals import LEVEL
from pipelines.evaluation.metrics import Floats, Ints, cumulative_counts

GRID = np.linspace(0, 1, 101)


def roc_curve(cohort: Cohort, weights_BN: Floats) -> dict[str, list[float]]:
    """False positive rate against true positive rate; `weights_BN` gives the band."""
    parts = [
        (members, cohort.probability_NR[members, repeat])
        for repeat, _, members in cohort.fold_members(cohort.probability_NR)
        if len(np.unique(cohort.outcome_N[members])) == 2
    ]
    curves = [_roc(cohort.outcome_N[m], score, _with_point(weights_BN[:, m])) for m, score in parts]
    return _summary(curves, "fpr", "tpr", cohort.widening, start=0.0)


def pr_curve(cohort: Cohort, weights_BN: Floats) -> dict[str, list[float]]:
    """Recall against precision; `weights_BN` gives the band."""
    if len(np.unique(cohort.outcome_N)) < 2:
        return _summary([], "recall", "precision", 1.0)
    weights = _with_point(weights_BN)
    curves = [_pr(cohort.outcome_N, score_N, weights) for score_N in cohort.probability_NR.T]
    return _summary(curves, "recall", "precision", cohort.widening)


def _with_point(weights_BN: Floats) -> Floats:
    """The undrawn cohort as first row, the resamples after it."""
    return np.concatenate([np.ones((1, weights_BN.shape[1])), weights_BN])


def _roc(outcome_N: Ints, score_N: Floats, weights_BN: Floats) -> Floats:
    true_BK, false_BK = cumulative_counts(outcome_N, score_N, weights_BN)
    curve_BG = np.full((len(weights_BN), len(GRID)), np.nan)
    for row, (true_K, false_K) in enumerate(zip(true_BK, false_BK, strict=True)):
        if true_K[-1] > 0 and false_K[-1] > 0:
            fpr, tpr = np.append(0, false_K / false_K[-1]), np.append(0, true_K / true_K[-1])
            curve_BG[row] = np.interp(GRID, fpr, tpr)
    return curve_BG


def _pr(outcome_N: Ints, score_N: Floats, weights_BN: Floats) -> Floats:
    true_BK, false_BK = cumulative_counts(outcome_N, score_N, weights_BN)
    curve_BG = np.full((len(weights_BN), len(GRID)), np.nan)
    for row, (true_K, false_K) in enumerate(zip(true_BK, false_BK, strict=True)):
        called_K = np.maximum(true_K + false_K, 1e-12)
        # Precision at a recall is that of the first score which reaches it: a step, not a line.
        reached = np.searchsorted(true_K / true_K[-1], np.maximum(GRID - 1e-12, 1e-12))
        curve_BG[row] = (true_K / called_K)[np.minimum(reached, len(true_K) - 1)]
    return curve_BG


def _summary(
    curves: list[Floats], x: str, y: str, widening: float, start: float | None = None
) -> dict[str, list[float]]:
    """Mean over curves (rows: point, resamples) and the pointwise band; `start`: where a curve begins."""
    if not curves:
        return {x: [], y: [], "low": [], "high": []}
    stacked_GBC = np.stack(curves, axis=2).swapaxes(0, 1)
    mean_BG = np.stack([mean_defined(values_BC) for values_BC in stacked_GBC], axis=1)
    ends = np.nanquantile(mean_BG[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    low_G, high_G = np.clip(mean_BG[0] + widening * (ends - mean_BG[0]), 0, 1)
    lines = {x: GRID, y: mean_BG[0], "low": low_G, "high": high_G}
    if start is not None:
        lines = {name: np.append(start, line) for name, line in lines.items()}
    return {name: [float(v) for v in line] for name, line in lines.items()}
