"""Laws of the report's figures: counts sum, the null holds .5, leaks raise the alarm, a rerun is equal."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.discrimination import mean_auc, paired_difference
from pipelines.evaluation.intervals import bootstrap_weights
from pipelines.evaluation.protocols import evaluate_subjects, oracle_check
from storage.errors import InputError

Simulate = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]


def test_primary_auc_is_the_mean_over_folds_and_repeats(cohort_tables: Simulate) -> None:
    subjects, _ = cohort_tables(effect=1.0)
    tested = subjects.dropna(subset=["probability"])
    folds = [
        roc_auc_score(group["outcome"], group["probability"])
        for _, group in tested.groupby(["repeat", "fold"])
    ]
    result = evaluate_subjects(subjects, seed=1)
    assert result["auc"]["value"] == pytest.approx(np.mean(folds))
    assert [entry["auc"] for entry in result["auc_folds"]] == pytest.approx(folds)
    assert result["auc"]["low"] < result["auc"]["value"] < result["auc"]["high"]
    area = np.trapezoid(result["curves"]["roc"]["tpr"], result["curves"]["roc"]["fpr"])
    assert area == pytest.approx(np.mean(folds), abs=0.01)


def test_two_aucs_are_never_further_apart_than_one() -> None:
    outcome_N = np.array([0, 1, 0, 1])
    cohort = Cohort(
        subjects=list("abcd"),
        outcome_N=outcome_N,
        probability_NR=np.full((4, 1), 0.5),
        fold_NR=np.array([[0], [0], [1], [1]]),
        prediction_NR=np.zeros((4, 1), np.int64),
    )
    right_NR, half_NR = outcome_N[:, None].astype(float), np.array([[0.0], [1.0], [1.0], [0.0]])
    found = paired_difference(cohort, right_NR, half_NR)  # 0 in one fold, 1 in the other
    assert (found["low"], found["value"], found["high"]) == (-1, 0.5, 1)


def test_counts_sum_and_nobody_is_dropped(cohort_tables: Simulate) -> None:
    subjects, regions = cohort_tables(effect=1.0)
    result = evaluate_subjects(subjects, seed=1, regions=regions)
    n, threshold = result["n"], result["threshold"]
    assert n["subjects"] == n["evaluable"] + n["not_evaluable"] == n["positive"] + n["negative"] == 100
    assert (n["not_evaluable"], n["not_evaluable_positive"], n["folds"], n["folds_used"]) == (1, 1, 10, 10)
    assert sum(threshold["confusion"].values()) == n["evaluable"]
    assert threshold["sensitivity"]["total"] == 29
    assert threshold["sensitivity_all"]["total"] == 30
    assert threshold["sensitivity_all"]["count"] == threshold["sensitivity"]["count"]
    assert [(e["regions"], e["n"]) for e in result["regions_found"]] == [(0, 1), (6, 19), (7, 80)]
    assert result["auc_all_regions"]["n"] == 80
    assert {e["region"]: e["n_all"] for e in result["regions"]}["bone6"] == 80
    assert result["regions"][0]["n_true_positive"] == threshold["confusion"]["tp"]


def test_null_cohorts_hold_one_half(cohort_tables: Simulate) -> None:
    """Of 20 cohorts without effect, at most 4 intervals miss .5 (probability of more: .3 %)."""
    missed = 0
    for seed in range(20):
        subjects, _ = cohort_tables(effect=0.0, seed=seed)
        cohort = Cohort.from_table(subjects)
        auc = mean_auc(cohort, cohort.probability_NR, bootstrap_weights(cohort.outcome_N, seed))
        missed += not auc["low"] <= 0.5 <= auc["high"]
    assert missed <= 4


def test_calibration_of_the_folds_leaves_the_ranking_within_a_fold(cohort_tables: Simulate) -> None:
    subjects, _ = cohort_tables(effect=1.0)
    folds = pd.DataFrame(
        [
            {"repeat": r, "fold": f, "train": 80, "slope": 1.0, "intercept": 0.0}
            for r in range(2)
            for f in range(5)
        ]
    )
    folds.loc[0, "slope"] = np.nan
    pooled = evaluate_subjects(subjects, seed=1, folds=folds)["pooled"]
    assert pooled["auc_calibrated"] == pytest.approx(pooled["auc"])
    assert pooled["brier_calibrated"] == pytest.approx(pooled["brier"])


def test_baseline_uses_a_thin_cortex_as_positive(cohort_tables: Simulate) -> None:
    subjects, _ = cohort_tables(effect=1.5)
    (baseline,) = evaluate_subjects(subjects, seed=1)["baselines"]
    assert (baseline["name"], baseline["n"]) == ("mci2", 99)
    assert baseline["auc"]["value"] > 0.7
    assert baseline["difference"]["low"] < baseline["difference"]["value"] < baseline["difference"]["high"]


def test_a_fixed_test_set_is_one_fold_of_one_repeat(cohort_tables: Simulate) -> None:
    subjects, _ = cohort_tables(effect=1.0, repeats=1)
    subjects["fold"] = 0
    result = evaluate_subjects(subjects, seed=1)
    tested = subjects.dropna(subset=["probability"])
    assert result["auc"]["value"] == pytest.approx(roc_auc_score(tested["outcome"], tested["probability"]))
    assert result["pooled"]["auc"] == pytest.approx(result["auc"])


def test_same_numbers_again_and_in_any_order_of_rows(cohort_tables: Simulate) -> None:
    subjects, regions = cohort_tables(effect=1.0)
    shuffled = subjects.sample(frac=1, random_state=0)
    first, second = (
        json.dumps(evaluate_subjects(s, 1, regions), sort_keys=True) for s in (subjects, shuffled)
    )
    assert first == second


def test_one_class_or_nobody_evaluable_gives_undefined_figures(cohort_tables: Simulate) -> None:
    subjects, _ = cohort_tables(effect=1.0)
    one_class = evaluate_subjects(subjects[subjects["outcome"] == 0], seed=1)
    assert np.isnan(one_class["auc"]["value"])
    assert one_class["curves"]["roc"]["fpr"] == []
    nobody = evaluate_subjects(subjects.assign(probability=np.nan, prediction=-1), seed=1)
    assert np.isnan(nobody["auc"]["value"])
    assert nobody["n"]["not_evaluable"] == 100


def test_a_subject_tested_twice_is_refused(cohort_tables: Simulate) -> None:
    subjects, _ = cohort_tables(effect=1.0)
    with pytest.raises(InputError) as caught:
        evaluate_subjects(pd.concat([subjects, subjects.tail(1)]), seed=1)
    assert str(caught.value) == (
        "Every subject must be tested exactly once in every repeat, "
        "but some are tested twice or never; run classify again."
    )


def test_better_than_the_oracle_is_a_leak() -> None:
    oracle = {"auc": 0.76, "low": 0.7, "high": 0.81}
    assert not oracle_check(0.81, oracle)["alarm"]
    leak = oracle_check(0.9, oracle)
    assert leak["alarm"]
    assert leak["sentence"] == (
        "AUC 0.900 is above the oracle's interval 0.700 to 0.810: the outcome has leaked into the prediction."
    )
