"""What is known without a network: age and sex, OST, 2MCI, on the same folds; and what the network adds to it.

    mci2             second metacarpal cortical index, low is positive; as it is
    ost              Osteoporosis Self-assessment Tool, 0.2 x (kg - years) (Koh 2001), low is positive; as it is
    age_sex          logistic model of age and sex, fitted in each training part
    network_age_sex  the same with the network's log odds, which in training are those of the inner folds

Who lacks a value is left out of that comparison, on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from pipelines.evaluation.calibration import logit
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.discrimination import mean_auc, paired_difference
from pipelines.evaluation.metrics import Floats, Ints

LABELS = {
    "age_sex": "age and sex",
    "ost": "OST: weight and age",
    "mci2": "cortical index (2MCI)",
    "network_age_sex": "network, age and sex",
}
_WEAK = 1e3  # the inverse of a penalty that only bounds classes which are separated completely
_YEARS = 10.0


def baseline_scores(
    cohort: Cohort, subjects: pd.DataFrame, people: pd.DataFrame | None, inner: pd.DataFrame | None
) -> dict[str, Floats]:
    """Score (N x R) of every baseline that these data allow, high is positive, NaN where a value is unknown.

    subjects: SUBJECTS. people: age_years, sex, weight_kg by subject. inner: INNER, for what the network adds.
    """
    repeats = cohort.probability_NR.shape[1]
    mci2_N = subjects.drop_duplicates("subject").set_index("subject")["mci2"].reindex(cohort.subjects)
    given = {"mci2": -mci2_N.to_numpy(np.float64)}
    trained: dict[str, Floats] = {}
    if people is not None:
        known = people.reindex(cohort.subjects)
        given["ost"] = -0.2 * (known["weight_kg"] - known["age_years"]).to_numpy(np.float64)
        age_sex_N2 = _age_sex(known)
        trained["age_sex"] = cross_fitted(cohort, {}, age_sex_N2)
        logits = _inner_logits(cohort, inner) if inner is not None and len(inner) else {}
        if logits and _are_whole(cohort, logits):
            trained["network_age_sex"] = cross_fitted(cohort, logits, age_sex_N2)
    scores = trained | {name: np.repeat(score_N[:, None], repeats, axis=1) for name, score_N in given.items()}
    return {name: scores[name] for name in LABELS if name in scores and np.isfinite(scores[name]).any()}


def _are_whole(cohort: Cohort, inner_logits: Mapping[tuple[int, int], Floats]) -> bool:
    """Whether every training subject has an inner prediction: else age and sex would have more to learn from alone."""
    return all(
        np.isfinite(inner_logits[repeat, fold][cohort.fold_NR[:, repeat] != fold]).all()
        for repeat, fold, _ in cohort.fold_members(cohort.probability_NR)
    )


def cross_fitted(cohort: Cohort, inner_logits: Mapping[tuple[int, int], Floats], x_NK: Floats) -> Floats:
    """Probability (N x R) by a logistic model of x_NK fitted in each fold's training part; NaN where x is unknown.

    inner_logits: for every (repeat, fold) the network's log odds of the training subjects (N, NaN for others), which
    then is a further column; in the test fold stands the network's own log odds.
    """
    result_NR = np.full(cohort.probability_NR.shape, np.nan)
    for repeat, fold, members in cohort.fold_members(cohort.probability_NR):
        train_NK, test_NK = x_NK, x_NK
        if inner_logits:
            train_NK = np.column_stack([x_NK, inner_logits[repeat, fold]])
            test_NK = np.column_stack([x_NK, logit(cohort.probability_NR[:, repeat])])
        rest_N = (cohort.fold_NR[:, repeat] != fold) & np.isfinite(train_NK).all(axis=1)
        tested = members[np.isfinite(test_NK[members]).all(axis=1)]
        if len(np.unique(cohort.outcome_N[rest_N])) < 2 or not len(tested):
            continue
        model = _logistic(train_NK[rest_N], cohort.outcome_N[rest_N])
        result_NR[tested, repeat] = model.predict_proba(test_NK[tested])[:, 1]
    return result_NR


def compare(cohort: Cohort, scores: Mapping[str, Floats], weights_BN: Floats) -> list[dict[str, Any]]:
    """One entry per baseline: name, n and positive who have it, its AUC, and network minus baseline with p value."""
    table, of_all = [], replace(cohort, learnt=None)  # a baseline learns from the whole training part
    for name, score_NR in scores.items():
        has_N = np.isfinite(score_NR).any(axis=1)
        trained = name in ("age_sex", "network_age_sex")
        table.append(
            {
                "name": name,
                "label": LABELS[name],
                "n": int(has_N.sum()),
                "positive": int(cohort.outcome_N[has_N].sum()),
                "auc": mean_auc(of_all, score_NR, weights_BN, trained=trained),
                "difference": paired_difference(cohort, cohort.probability_NR, score_NR),
            }
        )
    return table


def added_value(
    cohort: Cohort, scores: Mapping[str, Floats], people: pd.DataFrame, weights_BN: Floats
) -> dict[str, Any]:
    """What the network adds to age and sex, where both are known: n, positive, AUC without and with it, difference.

    likelihood_ratio: see there.
    """
    base_NR, full_NR = scores["age_sex"], scores["network_age_sex"]
    known_N = np.isfinite(full_NR).all(axis=1) & np.isfinite(base_NR).all(axis=1)
    x_N2 = _age_sex(people.reindex(cohort.subjects))[known_N]
    return {
        "n": int(known_N.sum()),
        "positive": int(cohort.outcome_N[known_N].sum()),
        "auc_without": mean_auc(cohort, base_NR, weights_BN),
        "auc_with": mean_auc(cohort, full_NR, weights_BN),
        "difference": paired_difference(cohort, full_NR, base_NR),
        "likelihood_ratio": likelihood_ratio(
            cohort.outcome_N[known_N], x_N2, cohort.probability_NR[known_N], cohort.widening
        ),
    }


def likelihood_ratio(
    outcome_N: Ints, x_NK: Floats, probability_NR: Floats, widening: float
) -> dict[str, float]:
    """Test whether the log odds add to x in one model of the tested subjects: chi2 and p, medians over repeats.

    Over folds a score without information varies more than chi2 allows for, as an AUC does: unadjusted, 16 % of
    simulated null cohorts fall below p = .05. So chi2 is divided by the square of the intervals' widening. slope: of
    the log odds, given x; below 0 they point the wrong way.
    """
    if len(np.unique(outcome_N)) < 2:
        return {"chi2": np.nan, "p": np.nan, "slope": np.nan}
    without = _deviance(outcome_N, x_NK)[0]
    fits = [_deviance(outcome_N, np.column_stack([x_NK, logit(p_N)])) for p_N in probability_NR.T]
    chi2 = float(np.median([max(without - deviance, 0.0) for deviance, _ in fits])) / widening**2
    slope = float(np.median([weight for _, weight in fits]))
    return {"chi2": chi2, "p": float(stats.chi2.sf(chi2, 1)), "slope": slope}


def _age_sex(people: pd.DataFrame) -> Floats:
    """Decades of age and 1 for women (N x 2); NaN where unknown."""
    female = people["sex"].map({"F": 1.0, "M": 0.0})
    columns = [people["age_years"].to_numpy(np.float64) / _YEARS, female.to_numpy(np.float64)]
    return np.column_stack(columns)


def _inner_logits(cohort: Cohort, inner: pd.DataFrame) -> dict[tuple[int, int], Floats]:
    return {
        (int(str(repeat)), int(str(fold))): logit(
            part.set_index("subject")["probability"].reindex(cohort.subjects).to_numpy(np.float64)
        )
        for (repeat, fold), part in inner.groupby(["repeat", "fold"])
    }


def _logistic(x_NK: Floats, outcome_N: Ints) -> LogisticRegression:
    return LogisticRegression(C=_WEAK, max_iter=1000).fit(x_NK, outcome_N)


def _deviance(outcome_N: Ints, x_NK: Floats) -> tuple[float, float]:
    """Minus twice the log likelihood of the fitted model, and the weight of its last column."""
    model = _logistic(x_NK - x_NK.mean(axis=0), outcome_N)
    probability_N = model.predict_proba(x_NK - x_NK.mean(axis=0))[:, 1]
    return 2 * float(log_loss(outcome_N, probability_N, normalize=False)), float(model.coef_[0, -1])
