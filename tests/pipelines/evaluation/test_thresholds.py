"""Each rule's threshold is the best of all on the inner folds; what it does to the test subjects is counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.thresholds import RULES, by_rule, choose_threshold


@pytest.mark.parametrize("seed", range(4))
def test_threshold_is_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcome_S = rng.integers(0, 2, 30)
    probability_S = np.round(np.clip(0.3 * outcome_S + rng.random(30) * 0.7, 0, 1), 2)
    for rule, measure in (
        ("f1", lambda called: f1_score(outcome_S, called, average="macro")),
        ("youden", lambda called: balanced_accuracy_score(outcome_S, called)),
    ):
        best = max(measure(probability_S >= t) for t in np.linspace(0.005, 0.995, 100))
        threshold = choose_threshold(outcome_S, probability_S, rule)
        assert measure(probability_S >= threshold) == pytest.approx(best)


def test_threshold_without_a_choice_is_one_half() -> None:
    outcome_S = np.array([0, 1, 0])
    assert choose_threshold(outcome_S, np.array([0.1, 0.2, 0.3]), "0.5") == 0.5
    assert choose_threshold(outcome_S, np.full(3, 0.2), "f1") == 0.5


@pytest.mark.parametrize("sensitivity", [0.8, 0.9, 1.0])
def test_the_highest_threshold_that_finds_enough(sensitivity: float) -> None:
    rng = np.random.default_rng(3)
    outcome_S = rng.integers(0, 2, 40)
    probability_S = np.round(rng.random(40), 2)
    threshold = choose_threshold(outcome_S, probability_S, "sensitivity", sensitivity)
    assert recall_score(outcome_S, probability_S >= threshold) >= sensitivity
    higher = [t for t in probability_S if t > threshold]
    assert all(recall_score(outcome_S, probability_S >= t + 1e-9) < sensitivity for t in higher)


def test_every_rule_counts_everyone_once(
    cohort_tables: Callable[..., tuple[pd.DataFrame, pd.DataFrame]],
) -> None:
    subjects, _ = cohort_tables(effect=1.0)
    tested = subjects.dropna(subset=["probability"])
    parts = [
        tested[(tested["repeat"] == repeat) & (tested["fold"] != fold)].assign(fold=fold)
        for repeat in range(2)
        for fold in range(5)
    ]
    table = by_rule(Cohort.from_table(subjects), pd.concat(parts))
    assert [entry["rule"] for entry in table] == list(RULES)
    assert {entry["accuracy"]["total"] for entry in table} == {99}
    by_name = {entry["rule"]: entry for entry in table}
    assert by_name["0.5"]["threshold"] == 0.5
    assert by_name["sensitivity"]["sensitivity"]["value"] > by_name["0.5"]["sensitivity"]["value"]
