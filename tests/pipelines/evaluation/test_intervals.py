"""Intervals against textbook values, and their coverage on simulated cohorts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold

from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.intervals import (
    auc_interval,
    bootstrap_weights,
    corrected_resampled_t,
    fold_widening,
    holm,
    percentile_interval,
    wilson,
)
from pipelines.evaluation.metrics import auc

# Tests are no package, so the benchmark is loaded from its file.
_SPEC = importlib.util.spec_from_file_location(
    "benchmark_intervals", Path(__file__).parents[2] / "benchmarks" / "intervals.py"
)
assert _SPEC and _SPEC.loader
BENCHMARK = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = BENCHMARK  # a dataclass looks itself up there
_SPEC.loader.exec_module(BENCHMARK)


def test_resamples_keep_the_size_of_each_class_and_follow_the_seed() -> None:
    outcome_N = np.array([0] * 20 + [1] * 8)
    weights_BN = bootstrap_weights(outcome_N, seed=3, resamples=50)
    assert (weights_BN[:, outcome_N == 1].sum(axis=1) == 8).all()
    assert (weights_BN[:, outcome_N == 0].sum(axis=1) == 20).all()
    np.testing.assert_array_equal(weights_BN, bootstrap_weights(outcome_N, seed=3, resamples=50))
    assert (weights_BN != bootstrap_weights(outcome_N, seed=4, resamples=50)).any()


def test_wilson_textbook_value() -> None:
    """8 of 10: .490 to .943 (Newcombe 1998, method 3)."""
    interval = wilson(8, 10)
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert np.isnan(wilson(0, 0).value)


def test_corrected_t_is_the_paired_t_when_nothing_is_shared() -> None:
    difference_K = np.array([0.1, 0.0, 0.2, 0.05])
    plain = stats.ttest_1samp(difference_K, 0).confidence_interval(0.95)
    interval = corrected_resampled_t(difference_K[None], test_over_train=0.0)
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high))
    assert interval.p == pytest.approx(stats.ttest_1samp(difference_K, 0).pvalue)
    wider = corrected_resampled_t(difference_K[None], test_over_train=0.25)
    assert wider.high - wider.low == pytest.approx((interval.high - interval.low) * np.sqrt(1 + 4 * 0.25))
    assert np.isnan(corrected_resampled_t(difference_K[None, :1], 0.25).low)


def test_repeats_steady_the_variance_but_are_no_new_subjects() -> None:
    """The same repeat twice: the same error, and degrees of freedom alone make the interval a little narrower."""
    difference_K = np.array([0.1, 0.0, 0.2, 0.05])
    once = corrected_resampled_t(difference_K[None], 0.25)
    twice = corrected_resampled_t(np.stack([difference_K, difference_K]), 0.25)
    factor = stats.t.ppf(0.975, 6) / stats.t.ppf(0.975, 3)
    assert twice.high - twice.value == pytest.approx(factor * (once.high - once.value))
    with_hole = corrected_resampled_t(np.array([[0.1, np.nan, 0.2], [0.1, 0.0, 0.2]]), 0.25)
    assert np.isfinite([with_hole.low, with_hole.p]).all()


def test_holm_textbook() -> None:
    """Holm 1979: .01, .04, .03 of three become .03, .06, .06; an undefined p does not count."""
    assert holm([0.01, 0.04, np.nan, 0.03])[:2] == pytest.approx([0.03, 0.06])
    assert holm([0.01, 0.04, np.nan, 0.03])[3] == pytest.approx(0.06)
    assert np.isnan(holm([0.01, np.nan])[1])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_widening_is_that_of_nadeau_and_bengio_and_stays_within_the_bounds() -> None:
    assert fold_widening(1, 1.0) == 1.0
    assert fold_widening(5, 0.25) == pytest.approx(1.5)
    resampled_B = np.linspace(0.5, 0.9, 401)
    plain, wide = (
        percentile_interval(0.7, resampled_B),
        percentile_interval(0.7, resampled_B, fold_widening(5, 0.25)),
    )
    assert wide.high - 0.7 == pytest.approx(1.5 * (plain.high - 0.7))
    assert percentile_interval(0.9, resampled_B + 0.2, 1.5).high == 1.0


@pytest.mark.parametrize(("sizes", "ratio"), [([40] * 5, 0.25), ([100, 50, 50], (1 + 1 / 3 + 1 / 3) / 3)])
def test_folds_of_unequal_size_count_as_large_as_they_are(sizes: list[int], ratio: float) -> None:
    fold_N1 = np.repeat(np.arange(len(sizes)), sizes)[:, None]
    cohort = Cohort(
        subjects=[str(number) for number in range(200)],
        outcome_N=np.arange(200) % 2,
        probability_NR=np.full((200, 1), 0.5),
        fold_NR=fold_N1,
        prediction_NR=np.zeros((200, 1), np.int64),
    )
    assert cohort.test_over_train == pytest.approx(ratio)
    assert cohort.widening == pytest.approx(np.sqrt(1 + len(sizes) * ratio))


def test_what_a_fold_holds_back_does_not_count_as_trained_on() -> None:
    """Of SupCon a quarter of each training part chooses the threshold; layer and encoder learn from the rest."""
    fold_N = np.arange(200) % 5
    subjects = pd.DataFrame(
        {"subject": [f"s{number:03d}" for number in range(200)], "outcome": np.arange(200) // 5 % 2}
        | {"probability": 0.5, "prediction": 0, "fold": fold_N, "repeat": 0, "split": "test"}
    )
    folds = pd.DataFrame({"repeat": 0, "fold": range(5), "train": 120})
    assert Cohort.from_table(subjects).test_over_train == pytest.approx(40 / 160)
    assert Cohort.from_table(subjects, folds).test_over_train == pytest.approx(40 / 120)
    assert Cohort.from_table(subjects, folds).widening == pytest.approx(np.sqrt(1 + 5 / 3))
    # a regression that learnt from a third as many
    assert Cohort.from_table(subjects, folds).widened(1 / 3) == pytest.approx(np.sqrt(1 + 5))


def test_folds_of_a_null_are_covered_by_the_widened_interval_alone() -> None:
    """60 cohorts without effect: ridge layers in five folds, the AUC's interval widened and not."""
    rng = np.random.default_rng(0)
    outcome_N = (np.arange(100) < 30).astype(np.int64)
    weights_BN = bootstrap_weights(outcome_N, seed=1, resamples=400)
    covered = {1.0: 0, fold_widening(5, 0.25): 0}
    for seed in range(60):
        x_ND, values = rng.normal(size=(100, 10)), []
        for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(x_ND, outcome_N):
            score_N = Ridge(alpha=10).fit(x_ND[train], outcome_N[train]).predict(x_ND[test])
            weights = np.concatenate([np.ones((1, 100)), weights_BN])[:, test]
            values.append(auc(outcome_N[test], score_N, weights))
        mean_B = np.nanmean(values, axis=0)
        for factor in covered:
            interval = percentile_interval(mean_B[0], mean_B[1:], factor)
            covered[factor] += interval.low <= 0.5 <= interval.high
    assert covered[1.0] / 60 < 0.9 <= covered[fold_widening(5, 0.25)] / 60


def test_a_few_dozen_of_the_benchmarks_cohorts() -> None:
    """12 without and 12 with an effect: of each kind at most 3 intervals miss the truth, or differences are false."""
    cells = [BENCHMARK.simulate(effect, seed, resamples=300) for effect in (0.0, 0.45) for seed in range(12)]
    for half in (cells[:12], cells[12:]):
        for measure, found in BENCHMARK.coverage(half).items():
            share = 1 - found["covered"] if "covered" in found else found["type_1_error"]
            assert share <= 3 / 12, measure


def test_undefined_resamples_are_left_out() -> None:
    interval = percentile_interval(0.5, np.array([np.nan, 0.4, 0.6]))
    assert 0.4 <= interval.low < interval.high <= 0.6
    assert np.isnan(percentile_interval(0.5, np.array([np.nan])).low)


def test_bootstrap_interval_of_the_auc_covers_the_truth() -> None:
    """200 cohorts of 192, true AUC .76: 95 % intervals hold it in 91 to 98 % (three standard errors)."""
    rng = np.random.default_rng(0)
    true_auc, outcome_N = stats.norm.cdf(1 / np.sqrt(2)), np.array([0] * 138 + [1] * 54)
    weights_BN = bootstrap_weights(outcome_N, seed=1, resamples=800)
    covered = 0
    for _ in range(200):
        score_N = outcome_N + rng.normal(size=len(outcome_N))
        interval = percentile_interval(0.0, auc(outcome_N, score_N, weights_BN))
        covered += interval.low <= true_auc <= interval.high
    assert 0.91 <= covered / 200 <= 0.98


@pytest.mark.parametrize(("positives", "negatives"), [(10, 10), (4, 60)])
def test_an_auc_of_one_is_not_certain(positives: int, negatives: int) -> None:
    always = np.ones(50)
    top = auc_interval(1.0, always, positives, negatives)
    bottom = auc_interval(0.0, always - 1, positives, negatives)
    assert top.high == 1 and (bottom.low, bottom.high) == (0, pytest.approx(1 - top.low))
    theta, mean_count = top.low, (positives + negatives) / 2
    variance = theta * (1 - theta) / (positives * negatives)
    variance *= 1 + (mean_count - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    assert 1 - theta == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)
    assert auc_interval(1.0, always, 4 * positives, 4 * negatives).low > top.low
    assert auc_interval(1.0, always, positives, negatives, widening=1.5).low < top.low


def test_an_auc_whose_resamples_differ_has_their_interval() -> None:
    resampled_B = np.linspace(0.7, 0.9, 50)
    assert auc_interval(0.8, resampled_B, 10, 10, 1.2) == percentile_interval(0.8, resampled_B, 1.2)
    assert np.isnan(auc_interval(np.nan, np.full(5, np.nan), 0, 10).low)
