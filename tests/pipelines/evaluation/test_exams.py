"""Measures over films and exams: values as the textbook has them, intervals that count women."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from pipelines.evaluation.clustered import clustered_weights, proportion
from pipelines.evaluation.exams import GROUPS, evaluate_levels, evaluate_rows, tube_group
from pipelines.evaluation.intervals import bootstrap_weights, wilson


def scored(women: int = 40, seed: int = 0) -> pd.DataFrame:
    """An exam per woman, a third positive, told apart with error."""
    rng = np.random.default_rng(seed)
    outcome = (np.arange(women) % 3 == 0).astype(np.int64)
    probability = 1 / (1 + np.exp(-(1.2 * outcome - 0.6 + rng.normal(0, 1, women))))
    names = {"subject": [f"w{n:03d}" for n in range(women)], "exam": [f"e{n:03d}" for n in range(women)]}
    return pd.DataFrame({**names, "outcome": outcome, "probability": probability})


def test_values_are_the_textbooks() -> None:
    rows = scored()
    found = evaluate_rows(rows, 0.5)
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(rows["outcome"], rows["probability"]))
    expected = average_precision_score(rows["outcome"], rows["probability"])
    assert found["pooled"]["average_precision"]["value"] == pytest.approx(expected)
    at = found["threshold"]
    assert at["f1"]["value"] == pytest.approx(f1_score(rows["outcome"], rows["probability"] >= 0.5))
    right = int(((rows["probability"] >= 0.5) == rows["outcome"]).sum())
    assert (at["accuracy"]["count"], at["accuracy"]["total"]) == (right, 40)
    assert at["recall"]["total"] == at["confusion"]["tp"] + at["confusion"]["fn"] == 14
    for name in ("accuracy", "precision", "recall", "f1"):
        assert at[name]["low"] <= at[name]["value"] <= at[name]["high"]


def test_a_second_film_that_says_the_same_narrows_no_interval() -> None:
    once = scored()
    twice = pd.concat([once, once], ignore_index=True)
    for name in ("auc", "prevalence"):
        assert evaluate_rows(twice, 0.5)[name] == pytest.approx(evaluate_rows(once, 0.5)[name])
    one, two = (evaluate_rows(rows, 0.5)["threshold"] for rows in (once, twice))
    assert two["recall"]["total"] == 2 * one["recall"]["total"]
    for name in ("accuracy", "recall", "f1"):
        ends = [(at[name]["low"], at[name]["high"]) for at in (one, two)]
        assert ends[1] == pytest.approx(ends[0])


def test_women_are_drawn_whole_and_within_their_class() -> None:
    subject_N = np.array(["a", "a", "b", "c", "c", "d"])
    outcome_N = np.array([0, 1, 0, 0, 0, 1])
    weights_BN = clustered_weights(subject_N, outcome_N, seed=1, resamples=200)
    assert (weights_BN[:, 0] == weights_BN[:, 1]).all() and (weights_BN[:, 3] == weights_BN[:, 4]).all()
    assert (weights_BN[:, 0] + weights_BN[:, 5] == 2).all()  # two women have a positive exam
    assert (weights_BN[:, 2] + weights_BN[:, 3] == 2).all()
    alone = clustered_weights(np.array(list("abcdef")), outcome_N, seed=1, resamples=50)
    np.testing.assert_array_equal(alone, bootstrap_weights(outcome_N, 1, 50))


def test_a_share_of_all_has_an_interval_of_as_many_women() -> None:
    subject_N = np.repeat(np.array(["a", "b", "c"]), 4)
    everyone = np.ones(12, np.bool_)
    weights_BN = clustered_weights(subject_N, everyone.astype(np.int64), 0)
    found = proportion(everyone, everyone, subject_N, weights_BN)
    assert (found["value"], found["count"], found["total"]) == (1, 12, 12)
    assert found["low"] == pytest.approx(wilson(3, 3).low)
    assert np.isnan(proportion(everyone, ~everyone, subject_N, weights_BN)["value"])


@pytest.mark.parametrize(
    ("right", "left", "group"),
    [
        ("proximal", "distal", GROUPS[0]),
        ("patent", "distal", GROUPS[1]),
        ("proximal", "not_seen", GROUPS[2]),
        ("patent", "patent", GROUPS[3]),
        ("patent", "not_seen", GROUPS[4]),
        ("not_seen", "not_seen", GROUPS[5]),
        ("", "", GROUPS[5]),
    ],
)
def test_unilateral_blocks_are_told_apart(right: str, left: str, group: str) -> None:
    assert tube_group(right, left) == tube_group(left, right) == group


def test_films_and_exams_have_their_own_threshold_and_new_exams_are_no_part() -> None:
    rows = scored().assign(split="test", right="patent", left="distal", prediction=1, threshold=0.4)
    new = rows.iloc[:5].assign(split="new", outcome=-1)
    found = evaluate_levels(pd.concat([rows, new]), pd.concat([rows, new]), film_threshold=0.6)
    assert found["n"]["rows"] == found["film"]["n"]["rows"] == 40
    assert (found["threshold"]["value"], found["film"]["threshold"]["value"]) == (0.4, 0.6)
    assert [row["group"] for row in found["tubes"]] == [GROUPS[1]] and found["tubes"][0]["exams"] == 40


def test_who_is_not_evaluable_counts_as_missed() -> None:
    rows = scored()
    rows.loc[rows["outcome"] == 1, "probability"] = np.where(np.arange(14) < 4, np.nan, 0.9)
    found = evaluate_rows(rows, 0.5)
    assert (found["n"]["rows_not_evaluable"], found["n"]["not_evaluable_positive"]) == (4, 4)
    at = found["threshold"]
    assert at["recall"]["value"] == 1 and at["recall_all"]["value"] == pytest.approx(10 / 14)


def test_what_one_class_leaves_undefined_is_undefined() -> None:
    found = evaluate_rows(scored().query("outcome == 0"), 0.5)
    assert np.isnan(found["auc"]["value"]) and np.isnan(found["threshold"]["recall"]["value"])
    assert found["threshold"]["specificity"]["total"] == 26 and found["n"]["positive"] == 0
