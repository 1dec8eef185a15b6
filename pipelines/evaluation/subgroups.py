"""The same figures for women and men, for each decade of age and for each X-ray machine; small groups get none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.disclosure import hidden
from pipelines.evaluation.cohort import Cohort, mean_defined
from pipelines.evaluation.intervals import auc_interval, wilson
from pipelines.evaluation.metrics import Confusion, Floats, auc

LEAST_OF_A_CLASS = 5


def subgroups(
    cohort: Cohort, people: pd.DataFrame, probability_NR: Floats, floor: int, weights_BN: Floats
) -> list[dict[str, Any]]:
    """One entry per group: by, group, n, positive, and where it is large enough auc, sensitivity, specificity,
    expected and observed.

    auc pools the folds (a fold holds too few of a small group), so give calibrated probabilities. `enough` is false
    where the group has fewer than `floor` people or than five of a class; n and positive are NaN below five, and of
    another group that would tell them as the rest of the total.
    """
    known = people.reindex(cohort.subjects)
    decade = (known["age_years"] // 10 * 10).map(
        lambda age: f"{age:.0f} to {age + 9:.0f}", na_action="ignore"
    )
    labels = {
        "sex": known["sex"].map({"F": "women", "M": "men"}),
        "age": decade,
        "machine": known["device"].where(known["device"].fillna("") != ""),
    }
    table = []
    for by, label in labels.items():
        names = sorted(set(label.dropna()))
        if len(names) < 2:
            continue
        secret = hidden({str(name): [*of.index] for name, of in label.groupby(label)})
        for name in names:
            member_N = (label == name).to_numpy(bool)
            told = name not in secret
            table.append(
                {"by": by, "group": name} | _group(cohort, probability_NR, member_N, floor, weights_BN, told)
            )
    return table


def _group(
    cohort: Cohort, probability_NR: Floats, member_N: Any, floor: int, weights_BN: Floats, told: bool
) -> dict[str, Any]:
    outcome_N = cohort.outcome_N[member_N]
    n, positive = len(outcome_N), int(outcome_N.sum())
    if not told or n < floor or min(positive, n - positive) < LEAST_OF_A_CLASS:
        return {"n": n if told else np.nan, "positive": positive if told else np.nan, "enough": False}
    scores_NR, weights_BK = probability_NR[member_N], weights_BN[:, member_N]
    point, resampled_B = (
        mean_defined(np.stack([auc(outcome_N, score_N, w) for score_N in scores_NR.T], axis=1))
        for w in (np.ones((1, n)), weights_BK)
    )
    counts = Confusion.count(outcome_N, cohort.prediction_NR[member_N, 0], np.ones((1, n)))
    shares = counts.proportions()
    return {
        "n": n,
        "positive": positive,
        "enough": True,
        "auc": auc_interval(float(point[0]), resampled_B, positive, n - positive, cohort.widening).to_dict(),
        **{
            name: wilson(int(shares[name][0][0]), int(shares[name][1][0])).to_dict()
            for name in ("sensitivity", "specificity")
        },
        "expected": float(scores_NR.mean()),
        "observed": positive / n,
    }
