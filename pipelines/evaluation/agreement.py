"""The measured value itself: how near a regression comes to it, and the figures without values next to the limit.

A T-score repeats within about .25 SD, so outcomes near -2.5 flip from one measurement to the next; they are noise
in the reference, not errors of the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.cohort import Cohort, mean_defined
from pipelines.evaluation.discrimination import mean_auc
from pipelines.evaluation.intervals import percentile_interval
from pipelines.evaluation.metrics import Floats

LIMITS_OF_AGREEMENT = 1.96
# World Health Organization 1994: normal from -1 up, osteoporosis at or below -2.5, osteopenia between.
NORMAL, OSTEOPOROSIS = -1.0, -2.5


def clear_cases(
    cohort: Cohort, people: pd.DataFrame, limit: float, margin: float, weights_BN: Floats
) -> dict[str, Any]:
    """The primary AUC of those whose measured value is at least `margin` from the limit: n, positive, left out."""
    score_N = people["score"].reindex(cohort.subjects).to_numpy(np.float64)
    clear_N = np.abs(score_N - limit) >= margin - 1e-9  # NaN, a value unknown, is not clear
    masked_NR = np.where(clear_N[:, None], cohort.probability_NR, np.nan)
    return {
        "margin": margin,
        "limit": limit,
        "n": int(clear_N.sum()),
        "positive": int(cohort.outcome_N[clear_N].sum()),
        "left_out": int((~clear_N).sum()),
        "auc": mean_auc(cohort, masked_NR, weights_BN),
    }


def agreement(scores: pd.DataFrame, widening: float, seed: int, resamples: int = 2000) -> dict[str, Any]:
    """Predicted against measured value (SCORES), each subject at most once per repeat, means over repeats.

    A subject counts in the repeats that predict it: a fold with too few measured subjects has no regression.

    r, mae, bias (predicted minus measured), lower and upper limit of agreement (Bland and Altman 1986), tilt: slope of
    the differences on the means, below 0 where extremes are drawn to the middle. Intervals redraw subjects. points:
    measured and predicted, mean over repeats. skill: share of the variance explained (1 - MSE / variance).
    """
    wide = scores.pivot_table(index="subject", columns="repeat", values="predicted", sort=True)
    measured_N = scores.groupby("subject")["measured"].first().reindex(wide.index).to_numpy(np.float64)
    predicted_NR = wide.to_numpy(np.float64)
    n = len(measured_N)
    draws_BN = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples).astype(float)
    weights_BN = np.concatenate([np.ones((1, n)), draws_BN])
    repeats = []
    for predicted_N in predicted_NR.T:
        known_N = np.isfinite(predicted_N)
        repeats.append(_measures(measured_N[known_N], predicted_N[known_N], weights_BN[:, known_N]))
    result: dict[str, Any] = {"n": n}
    bounds = {"widening": widening, "lowest": -np.inf, "highest": np.inf}
    for name in repeats[0]:
        values_B = mean_defined(np.stack([measures[name] for measures in repeats], axis=1))
        result[name] = percentile_interval(float(values_B[0]), values_B[1:], **bounds).to_dict()
    for name, most in (("r", 1.0), ("mae", np.inf)):
        least = -1.0 if name == "r" else 0.0
        low, high = np.clip([result[name]["low"], result[name]["high"]], least, most)
        result[name] |= {"low": float(low), "high": float(high)}
    mean_N = np.nanmean(predicted_NR, axis=1)  # in some repeat everyone has a value
    result["points"] = {"measured": measured_N.tolist(), "predicted": mean_N.tolist()}
    return result


def three_classes(scores: pd.DataFrame) -> dict[str, Any]:
    """Normal, osteopenic and osteoporotic by measured (rows) and predicted value (columns), first repeat.

    The limits are the WHO's for a T-score, whatever the study's own rule asks.
    """
    first = scores[scores["repeat"] == scores["repeat"].min()]
    edges = [OSTEOPOROSIS + 1e-9, NORMAL]  # the limit itself is osteoporotic
    rows, columns = (2 - np.digitize(first[name], edges) for name in ("measured", "predicted"))
    counts_33 = np.zeros((3, 3), dtype=int)
    np.add.at(counts_33, (rows, columns), 1)
    return {"names": ["normal", "osteopenia", "osteoporosis"], "counts": counts_33.tolist()}


def _measures(measured_N: Floats, predicted_N: Floats, weights_BN: Floats) -> dict[str, Floats]:
    total_B = weights_BN.sum(axis=1)

    def mean(values_N: Floats) -> Floats:
        return np.asarray(weights_BN @ values_N / total_B)

    def covariance(x_N: Floats, y_N: Floats) -> Floats:
        return np.asarray(mean(x_N * y_N) - mean(x_N) * mean(y_N))

    difference_N, middle_N = predicted_N - measured_N, (predicted_N + measured_N) / 2
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample without spread, or empty, has no r
        variance_B, own_B = covariance(measured_N, measured_N), covariance(predicted_N, predicted_N)
        bias_B = mean(difference_N)
        spread_B = np.sqrt(
            covariance(difference_N, difference_N) * total_B / (total_B - 1)
        )  # the sample's SD
        return {
            "r": covariance(measured_N, predicted_N) / np.sqrt(variance_B * own_B),
            "mae": mean(np.abs(difference_N)),
            "bias": bias_B,
            "lower": bias_B - LIMITS_OF_AGREEMENT * spread_B,
            "upper": bias_B + LIMITS_OF_AGREEMENT * spread_B,
            "tilt": covariance(difference_N, middle_N) / covariance(middle_N, middle_N),
            "skill": 1 - mean(difference_N**2) / variance_B,
        }
