"""Yes or no at the threshold that was fixed without the test subjects."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.intervals import percentile_interval, wilson
from pipelines.evaluation.metrics import Confusion, Floats, divide


def at_threshold(subjects: pd.DataFrame, cohort: Cohort, weights_BN: Floats) -> dict[str, Any]:
    """Measures of the first repeat, in which every subject counts once, so that counts are people.

    Proportions carry Wilson intervals with count and total, the others bootstrap intervals. `sensitivity_all`
    counts positives without a prediction as missed, `specificity_all` negatives without one as false alarms
    (intention to diagnose, at its worst). `mean_over_repeats` is beside, without intervals.
    """
    first_N = cohort.prediction_NR[:, 0]
    point = Confusion.count(cohort.outcome_N, first_N, cohort.once)
    resampled = Confusion.count(cohort.outcome_N, first_N, weights_BN)
    each = subjects.drop_duplicates("subject")
    num_positive = int((each["outcome"] == 1).sum())
    majority = max(num_positive, len(each) - num_positive)
    result: dict[str, Any] = {"confusion": {cell: int(count[0]) for cell, count in asdict(point).items()}}
    for name, (count, total) in point.proportions().items():
        result[name] = _proportion(int(count[0]), int(total[0]))
    result["sensitivity_all"] = _proportion(int(point.tp[0]), num_positive)
    result["specificity_all"] = _proportion(int(point.tn[0]), len(each) - num_positive)
    for name, values_B in resampled.composites().items():
        result[name] = percentile_interval(
            float(point.composites()[name][0]), values_B, cohort.widening
        ).to_dict()
    result["majority_accuracy"] = majority / len(each) if len(each) else np.nan
    result["mean_over_repeats"] = _mean_over_repeats(cohort)
    return result


def _proportion(count: int, total: int) -> dict[str, float]:
    return {**wilson(count, total).to_dict(), "count": count, "total": total}


def _mean_over_repeats(cohort: Cohort) -> dict[str, float]:
    """Mean of every measure over the repeats; NaN where one repeat leaves it undefined."""
    rows = []
    for prediction_N in cohort.prediction_NR.T:
        counts = Confusion.count(cohort.outcome_N, prediction_N, cohort.once)
        shares = {name: divide(count, total) for name, (count, total) in counts.proportions().items()}
        rows.append({name: float(value[0]) for name, value in (shares | counts.composites()).items()})
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
