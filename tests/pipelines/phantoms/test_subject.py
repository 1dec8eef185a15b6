"""Laws of the planted effect, from geometry alone."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.effects import CORRELATION, oracle_auc
from pipelines.phantoms.film import subject_of

COHORT = 400


def _index_and_t(effect: str | None) -> tuple[np.ndarray, np.ndarray]:
    config = PhantomsConfig(subjects=COHORT, unlabelled=0, effect=effect, seed=7)
    health = [subject_of(config, number).health for number in range(COHORT)]
    return np.array([h.cortical_index for h in health]), np.array([h.t_score for h in health])


@pytest.mark.parametrize("effect", ["null", "paper", "demo"])
def test_cortical_index_correlates_with_t_as_planned(effect: str) -> None:
    index_n, t_score_n = _index_and_t(effect)
    assert np.corrcoef(index_n, t_score_n)[0, 1] == pytest.approx(CORRELATION[effect], abs=0.09)


def test_effect_none_is_the_null_effect() -> None:
    np.testing.assert_array_equal(_index_and_t(None)[0], _index_and_t("null")[0])


def test_seven_bones_average_to_the_subjects_index() -> None:
    health = subject_of(PhantomsConfig(), 3).health
    assert health.bone_index_7.mean() == pytest.approx(health.cortical_index)
    assert 0 < health.bone_index_7.std() < 0.05


def test_a_third_of_adults_has_the_outcome() -> None:
    _, t_score_n = _index_and_t("demo")
    assert (t_score_n <= -2.5).mean() == pytest.approx(0.284, abs=0.06)


@pytest.mark.parametrize(
    ("effect", "low", "high"), [("null", 0.42, 0.58), ("paper", 0.75, 0.87), ("demo", 0.84, 0.94)]
)
def test_oracle_reaches_the_expected_auc(effect: str, low: float, high: float) -> None:
    index_n, t_score_n = _index_and_t(effect)
    oracle = oracle_auc(index_n, t_score_n, seed=1)
    assert low < oracle["auc"] < high
    assert oracle["low"] < oracle["auc"] < oracle["high"]
    assert oracle["n"] == COHORT


def test_oracle_of_one_class_is_not_a_number() -> None:
    oracle = oracle_auc(np.array([0.4, 0.5]), np.array([0.0, -1.0]), seed=1)
    assert oracle == {"auc": None, "low": None, "high": None, "n": 2, "positives": 0}


def test_unlabelled_subjects_and_children_have_no_outcome() -> None:
    adults = PhantomsConfig(subjects=3, unlabelled=2)
    assert [subject_of(adults, number).labelled for number in range(5)] == [True] * 3 + [False] * 2
    child = subject_of(PhantomsConfig(population="child"), 0)
    assert not child.labelled
    assert np.isnan(child.health.t_score)
    assert child.age_years <= 18


def test_a_subject_does_not_depend_on_the_cohorts_size() -> None:
    small, large = PhantomsConfig(subjects=10), PhantomsConfig(subjects=99)
    np.testing.assert_array_equal(subject_of(small, 5).landmarks_372, subject_of(large, 5).landmarks_372)
    assert subject_of(small, 5).health.t_score == subject_of(large, 5).health.t_score


def test_few_percent_lack_a_bone() -> None:
    config = PhantomsConfig(subjects=1000)
    missing = [subject_of(config, number).missing for number in range(1000)]
    assert 0.015 < np.mean([kind != "" for kind in missing]) < 0.05
