"""What is reported of films and exams of one fixed set of test women; positive is what the study calls positive.

`evaluate_levels` returns plain numbers for metrics.json; NaN (null in the file) stands for undefined. Every interval is
{value, low, high} at 95 %, by a bootstrap over women, conditional on the trained model. The tree holds, for the exams
and again for the films below `film`:

    n            rows, positive, negative, women, women_positive; rows_not_evaluable, not_evaluable_positive
    prevalence   share of positive rows: the no-skill line of the PR curve
    auc          area under the ROC curve
    pooled       average_precision (AUPRC), brier
    threshold    value; confusion {tp, fp, fn, tn}; accuracy, precision, recall, specificity, npv with count and total;
                 recall_all, specificity_all: with what is not evaluable as an error; f1, macro_f1,
                 balanced_accuracy; majority_accuracy
    calibration  slope, intercept, expected, observed, expected_over_observed, bins
    curves       roc {fpr, tpr, low, high}, pr {recall, precision, low, high}

and for the exams alone `tubes`: by what was read of both tubes, exams, positive, called positive, mean probability.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.calibration import summary
from pipelines.evaluation.clustered import clustered_weights, proportion, subjects_of
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.curves import pr_curve, roc_curve
from pipelines.evaluation.discrimination import mean_auc, pooled
from pipelines.evaluation.intervals import BOOTSTRAP_SEED, LEVEL, RESAMPLES, percentile_interval
from pipelines.evaluation.metrics import Confusion, Floats
from pipelines.outcomes.tubes import OCCLUDED


def evaluate_levels(films: pd.DataFrame, exams: pd.DataFrame, film_threshold: float) -> dict[str, Any]:
    """The tree of the module's docstring. films, exams: tables in the schemas REGIONS and EXAMS.

    Rows of other splits than test are ignored. film_threshold: that of single films; exams have theirs in their rows.
    """
    films, exams = (table[table["split"] == "test"].reset_index(drop=True) for table in (films, exams))
    exam_threshold = float(exams["threshold"].iloc[0]) if len(exams) else np.nan
    return {
        "format": 1,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "seed": BOOTSTRAP_SEED,
        **evaluate_rows(exams, exam_threshold),
        "tubes": tubes(exams),
        "film": evaluate_rows(films, film_threshold),
    }


def evaluate_rows(rows: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """The measures of one level. rows: subject, outcome, probability (NaN: not evaluable)."""
    known = rows[rows["probability"].notna()].reset_index(drop=True)
    cohort = cohort_of(known, threshold)
    weights_BN = clustered_weights(subjects_of(known), cohort.outcome_N, BOOTSTRAP_SEED)
    positive = known[known["outcome"] == 1]
    unread = rows[rows["probability"].isna()]
    measures = pooled(cohort, cohort.probability_NR, weights_BN)
    return {
        "n": {
            "rows": len(known),
            "positive": len(positive),
            "negative": len(known) - len(positive),
            "women": known["subject"].nunique(),
            "women_positive": positive["subject"].nunique(),
            "rows_not_evaluable": len(unread),
            "not_evaluable_positive": int((unread["outcome"] == 1).sum()),
        },
        "prevalence": float(cohort.outcome_N.mean()) if len(known) else np.nan,
        "auc": mean_auc(cohort, cohort.probability_NR, weights_BN),
        "pooled": {name: measures[name] for name in ("average_precision", "brier")},
        "threshold": at_threshold(rows, known, cohort, threshold, weights_BN),
        "calibration": summary(cohort, cohort.probability_NR, weights_BN),
        "curves": {"roc": roc_curve(cohort, weights_BN), "pr": pr_curve(cohort, weights_BN)},
    }


def cohort_of(rows: pd.DataFrame, threshold: float) -> Cohort:
    """Rows with a probability as a cohort of one fold and one repeat, a row a member."""
    probability_NR = rows["probability"].to_numpy(np.float64)[:, None]
    return Cohort(
        subjects=rows["subject"].tolist(),
        outcome_N=rows["outcome"].to_numpy(np.int64),
        probability_NR=probability_NR,
        fold_NR=np.zeros(probability_NR.shape, np.int64),
        prediction_NR=(probability_NR >= threshold).astype(np.int64),
    )


def at_threshold(
    rows: pd.DataFrame, known: pd.DataFrame, cohort: Cohort, threshold: float, weights_BN: Floats
) -> dict[str, Any]:
    """Yes or no at a threshold that was fixed without these women. rows: those not evaluable among them."""
    outcome_N, called_N = cohort.outcome_N, cohort.prediction_NR[:, 0]
    subject_N = subjects_of(known)
    positive_N, yes_N = outcome_N == 1, called_N == 1
    point = Confusion.count(outcome_N, called_N, cohort.once)
    resampled = Confusion.count(outcome_N, called_N, weights_BN).composites()
    shares = {
        "accuracy": (positive_N == yes_N, np.ones_like(yes_N)),
        "precision": (positive_N, yes_N),
        "recall": (yes_N, positive_N),
        "specificity": (~yes_N, ~positive_N),
        "npv": (~positive_N, ~yes_N),
    }
    result: dict[str, Any] = {
        "value": threshold,
        "confusion": {cell: int(count[0]) for cell, count in asdict(point).items()},
    }
    for name, (hits_N, among_N) in shares.items():
        result[name] = proportion(hits_N, among_N, subject_N, weights_BN)
    for name, value in point.composites().items():
        result[name] = percentile_interval(float(value[0]), resampled[name]).to_dict()
    all_positive = int((rows["outcome"] == 1).sum())
    for name, hits, total in (
        ("recall_all", int(point.tp[0]), all_positive),
        ("specificity_all", int(point.tn[0]), len(rows) - all_positive),
    ):
        result[name] = {"value": hits / total if total else np.nan, "count": hits, "total": total}
    commoner = max(all_positive, len(rows) - all_positive)
    result["majority_accuracy"] = commoner / len(rows) if len(rows) else np.nan
    return result


def tubes(exams: pd.DataFrame) -> list[dict[str, Any]]:
    """Exams by what was read of both tubes; a group for those of which only the outcome is known."""
    named = [tube_group(right, left) for right, left in zip(exams["right"], exams["left"], strict=True)]
    found = []
    for group in GROUPS:
        rows = exams[[name == group for name in named]]
        if len(rows):
            found.append(
                {
                    "group": group,
                    "exams": len(rows),
                    "women": rows["subject"].nunique(),
                    "positive": int((rows["outcome"] == 1).sum()),
                    "called": int((rows["prediction"] == 1).sum()),
                    "probability": float(rows["probability"].mean()),
                }
            )
    return found


GROUPS = (
    "both occluded",
    "one occluded, the other patent",
    "one occluded, the other not seen",
    "both patent",
    "one patent, the other not seen",
    "not told",
)


def tube_group(right: str, left: str) -> str:
    """Of GROUPS, by what was read of the tubes (empty, or as in OUTCOMES)."""
    occluded = (right in OCCLUDED) + (left in OCCLUDED)
    patent = (right == "patent") + (left == "patent")
    if occluded == 2:
        return GROUPS[0]
    if occluded:
        return GROUPS[1] if patent else GROUPS[2]
    return GROUPS[{2: 3, 1: 4}.get(patent, 5)]
