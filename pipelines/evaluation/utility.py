"""What a decision is worth where the model will be used: predictive values and net benefit at a stated prevalence.

Net benefit (Vickers and Elkin 2006) at threshold probability t and prevalence q, from sensitivity and
specificity, so that a referred cohort can speak of a screening population:

    q * sensitivity - (1 - q) * (1 - specificity) * t / (1 - t)

Probabilities are moved to the new prevalence on the logit scale before they are compared with t.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.evaluation.calibration import logit, sigmoid
from pipelines.evaluation.cohort import Cohort, mean_defined
from pipelines.evaluation.intervals import Interval, percentile_interval, wilson
from pipelines.evaluation.metrics import Confusion, Floats, divide

THRESHOLDS = np.arange(1, 61) / 100


def utility(
    cohort: Cohort,
    models: Mapping[str, Floats],
    prevalence: float | None,
    weights_BN: Floats,
    learnt_share: float | None = None,
) -> dict[str, Any]:
    """prevalence, given (by the user or not), ppv and npv at it, and the decision curve of every model.

    models: name -> probability (N x R), NaN where unknown; all are compared among those whom all know. The curve:
    thresholds, all (everyone is sent on), models [{name, net_benefit, low, high}]; nobody sent on is 0.
    learnt_share: positives among those whom a finished model learnt from, at which its probabilities are right;
    None: over folds it is the cohort's own.
    """
    known_N = np.all([np.isfinite(p_NR).all(axis=1) for p_NR in models.values()], axis=0)
    outcome_N = cohort.outcome_N
    share = float(outcome_N.mean()) if len(outcome_N) else np.nan
    at = share if prevalence is None else prevalence
    own = float(outcome_N[known_N].mean()) if known_N.any() else share
    shift = _shift(own if learnt_share is None else learnt_share, at)
    curves = []
    for name, probability_NR in models.items():
        value_BG = _net_benefits(cohort, probability_NR, known_N, at, shift, _with_point(weights_BN))
        bounds = {"widening": cohort.widening, "lowest": -np.inf, "highest": np.inf}
        intervals = [percentile_interval(float(v_B[0]), v_B[1:], **bounds) for v_B in value_BG.T]
        curves.append(
            {
                "name": name,
                "net_benefit": [interval.value for interval in intervals],
                "low": [interval.low for interval in intervals],
                "high": [interval.high for interval in intervals],
            }
        )
    return {
        "prevalence": at,
        "given": prevalence is not None,
        "n": int(known_N.sum()),
        **{name: value.to_dict() for name, value in predictive_values(cohort, at, weights_BN).items()},
        "thresholds": [float(t) for t in THRESHOLDS],
        "all": [float(at - (1 - at) * t / (1 - t)) for t in THRESHOLDS],
        "models": curves,
    }


def net_benefit_difference(
    cohort: Cohort, first_NR: Floats, second_NR: Floats, prevalence: float | None, weights_BN: Floats
) -> list[dict[str, float]]:
    """First model's net benefit minus the second's at thresholds of half, once and twice the prevalence."""
    known_N = np.isfinite(first_NR).all(axis=1) & np.isfinite(second_NR).all(axis=1)
    if not known_N.any():
        return []
    share = float(cohort.outcome_N[known_N].mean())
    at = share if prevalence is None else prevalence
    shift = _shift(share, at)
    weights = _with_point(weights_BN)
    first_BG, second_BG = (
        _net_benefits(cohort, p_NR, known_N, at, shift, weights) for p_NR in (first_NR, second_NR)
    )
    bounds = {"widening": cohort.widening, "lowest": -np.inf, "highest": np.inf}
    rows = []
    for t in (at / 2, at, 2 * at):
        nearest = int(np.argmin(np.abs(THRESHOLDS - t)))
        gain_B = first_BG[:, nearest] - second_BG[:, nearest]
        interval = percentile_interval(float(gain_B[0]), gain_B[1:], **bounds).to_dict()
        rows.append({"threshold": float(THRESHOLDS[nearest])} | interval)
    return rows


def predictive_values(cohort: Cohort, prevalence: float, weights_BN: Floats) -> dict[str, Interval]:
    """PPV and NPV at a prevalence, by Bayes' rule from the first repeat's sensitivity and specificity."""
    counts = Confusion.count(cohort.outcome_N, cohort.prediction_NR[:, 0], _with_point(weights_BN))
    sensitivity_B = divide(counts.tp, counts.tp + counts.fn)
    specificity_B = divide(counts.tn, counts.tn + counts.fp)
    true_B, false_B = prevalence * sensitivity_B, (1 - prevalence) * (1 - specificity_B)
    cleared_B, missed_B = (1 - prevalence) * specificity_B, prevalence * (1 - sensitivity_B)
    values = {
        "ppv": divide(true_B, true_B + false_B),
        "npv": divide(cleared_B, cleared_B + missed_B),
    }
    intervals = {
        name: percentile_interval(float(v_B[0]), v_B[1:], cohort.widening) for name, v_B in values.items()
    }
    if float(values["ppv"][0]) == 1 or float(values["npv"][0]) == 1:
        return intervals | _without_errors(counts, prevalence, intervals)
    return intervals


def _without_errors(
    counts: Confusion, prevalence: float, intervals: Mapping[str, Interval]
) -> dict[str, Interval]:
    """Intervals of predictive values of 1: redrawing subjects makes no error, but Wilson's bounds allow for some."""
    tp, fn, tn, fp = (int(cell_B[0]) for cell_B in (counts.tp, counts.fn, counts.tn, counts.fp))
    sensitivity, specificity = wilson(tp, tp + fn), wilson(tn, tn + fp)
    right, wrong = prevalence * sensitivity.low, (1 - prevalence) * (1 - specificity.low)
    cleared, missed = (1 - prevalence) * specificity.low, prevalence * (1 - sensitivity.low)
    lowest = {"ppv": right / (right + wrong), "npv": cleared / (cleared + missed)}
    return {name: Interval(1.0, lowest[name], 1.0) for name, found in intervals.items() if found.value == 1}


def _shift(share: float, prevalence: float) -> float:
    """What moves log odds that are right at one share of positives to another."""
    return float(logit(np.array(prevalence)) - logit(np.array(share)))


def _net_benefits(
    cohort: Cohort, probability_NR: Floats, known_N: Any, prevalence: float, shift: float, weights_BN: Floats
) -> Floats:
    """Net benefit per weighting and threshold (B x G), mean over repeats."""
    positive_N = cohort.outcome_N[known_N] == 1
    weights_BK = weights_BN[:, known_N]
    odds_G = THRESHOLDS / (1 - THRESHOLDS)
    values = []
    for probability_K in probability_NR[known_N].T:
        moved_K = sigmoid(logit(probability_K) + shift)
        called_KG = (moved_K[:, None] >= THRESHOLDS).astype(np.float64)
        found_BG = weights_BK @ (called_KG * positive_N[:, None])
        false_BG = weights_BK @ (called_KG * ~positive_N[:, None])
        positives_B1 = (weights_BK @ positive_N.astype(np.float64))[:, None]
        negatives_B1 = (weights_BK @ (~positive_N).astype(np.float64))[:, None]
        sensitivity_BG = divide(found_BG, positives_B1 + 0 * found_BG)
        false_rate_BG = divide(false_BG, negatives_B1 + 0 * false_BG)
        values.append(prevalence * sensitivity_BG - (1 - prevalence) * false_rate_BG * odds_G)
    stacked_BGR = np.stack(values, axis=2)
    return mean_defined(stacked_BGR.reshape(-1, len(values))).reshape(stacked_BGR.shape[:2])


def _with_point(weights_BN: Floats) -> Floats:
    return np.concatenate([np.ones((1, weights_BN.shape[1])), weights_BN])
