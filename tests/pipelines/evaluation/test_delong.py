"""DeLong's covariance is that of the pairs, and folds are refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.delong import delong, delong_difference, delong_interval
from pipelines.evaluation.protocols import evaluate_subjects
from storage.errors import InputError


def test_covariance_equals_the_definition_by_pairs() -> None:
    """DeLong 1988: covariances of the mean placements of positives and of negatives; ties count half."""
    rng = np.random.default_rng(0)
    outcome_N = np.array([1] * 12 + [0] * 18)
    score_MN = np.round(rng.normal(size=(2, 30)) + outcome_N, 1)
    won_Mmn = np.sign(score_MN[:, :12, None] - score_MN[:, None, 12:]) / 2 + 0.5
    expected_MM = np.cov(won_Mmn.mean(axis=2)) / 12 + np.cov(won_Mmn.mean(axis=1)) / 18
    auc_M, covariance_MM = delong(outcome_N, score_MN)
    np.testing.assert_allclose(auc_M, won_Mmn.mean(axis=(1, 2)))
    np.testing.assert_allclose(covariance_MM, expected_MM)


def test_intervals_cover_on_a_fixed_test_set() -> None:
    """300 test sets of 192 with two equally good scores: 92 to 98 % cover, 2 to 8 % differ falsely."""
    rng, covered, false = np.random.default_rng(1), 0, 0
    outcome_N = (np.arange(192) < 54).astype(np.int64)
    true_auc = 0.76025  # normal, one SD apart
    for _ in range(300):
        score_N2 = outcome_N[:, None] + rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 192)
        cohort = fixed(outcome_N, score_N2[:, :1])
        interval = delong_interval(cohort, score_N2[:, :1])
        covered += interval.low <= true_auc <= interval.high
        false += delong_difference(cohort, score_N2[:, :1], score_N2[:, 1:]).p < 0.05
    assert 0.92 <= covered / 300 <= 0.98
    assert 0.02 <= false / 300 <= 0.08


def test_folds_are_refused(cohort_tables: Callable[..., tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    cohort = Cohort.from_table(cohort_tables(effect=1.0)[0])
    with pytest.raises(InputError) as caught:
        delong_interval(cohort, cohort.probability_NR)
    assert str(caught.value) == (
        "DeLong's method needs one fixed test set, but these predictions come from 2 x 5 folds; "
        "use the subject bootstrap for an interval and Nadeau and Bengio's t for a difference."
    )


def test_the_same_ranking_has_no_p_value_and_two_subjects_no_interval() -> None:
    outcome_N, score_N1 = np.array([0, 1, 0, 1, 1]), np.arange(5.0)[:, None]
    assert np.isnan(delong_difference(fixed(outcome_N, score_N1), score_N1, 2 * score_N1).p)
    assert np.isnan(delong_interval(fixed(outcome_N[:2], score_N1[:2]), score_N1[:2]).low)


def test_neither_certainty_nor_more_than_an_auc_can_be() -> None:
    outcome_N, score_N1 = np.array([0, 0, 0, 1, 1]), np.arange(5.0)[:, None]
    interval = delong_interval(fixed(outcome_N, score_N1), score_N1)
    assert interval.value == interval.high == 1 and 0.2 < interval.low < 0.9
    other_N1 = np.array([2.0, 0.0, 5.0, 1.0, 6.0])[:, None]
    apart = delong_difference(fixed(outcome_N, score_N1), score_N1, other_N1)
    assert -1 <= apart.low < apart.high == 1


def test_a_report_has_it_for_a_fixed_test_set_alone(
    cohort_tables: Callable[..., tuple[pd.DataFrame, pd.DataFrame]],
) -> None:
    subjects, _ = cohort_tables(effect=1.0, repeats=1)
    assert "auc_delong" not in evaluate_subjects(subjects, seed=1)
    both = evaluate_subjects(subjects.assign(fold=0), seed=1)
    assert both["auc_delong"]["value"] == pytest.approx(both["auc"]["value"])
    assert both["auc_delong"]["low"] == pytest.approx(both["auc"]["low"], abs=0.03)


def fixed(outcome_N: np.ndarray, score_N1: np.ndarray) -> Cohort:
    zeros = np.zeros((len(outcome_N), 1), dtype=np.int64)
    return Cohort(
        subjects=[str(row) for row in range(len(outcome_N))],
        outcome_N=outcome_N,
        probability_NR=score_N1,
        fold_NR=zeros,
        prediction_NR=zeros,
    )
