"""What stands beside the primary figure: baselines, added value, utility, subgroups, missing bones, measured values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipelines.evaluation.agreement import agreement, three_classes
from pipelines.evaluation.baselines import baseline_scores, likelihood_ratio
from pipelines.evaluation.calibration import expected_over_observed, logit
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.decisions import at_threshold
from pipelines.evaluation.intervals import bootstrap_weights
from pipelines.evaluation.ledger import Looks, lock, looks, record
from pipelines.evaluation.missing import missing_by_outcome
from pipelines.evaluation.protocols import Background, evaluate_subjects
from pipelines.evaluation.utility import THRESHOLDS, predictive_values, utility
from storage.errors import ConfigError

Simulate = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]


def people_of(subjects: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Positives are older; one age is unknown, one weight; machine b has few films."""
    each = subjects.drop_duplicates("subject").set_index("subject")
    rng, n = np.random.default_rng(seed), len(each)
    age_N = 62 + 6 * each["outcome"].to_numpy() + 8 * rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "age_years": age_N,
            "sex": np.where(np.arange(n) % 3 == 0, "M", "F"),
            "weight_kg": 70 - 0.3 * (age_N - 60) + 8 * rng.normal(size=n),
            "device": np.where(np.arange(n) % 12 == 0, "b", "a"),
            "score": -1.2 - 1.8 * each["outcome"].to_numpy() + 0.5 * rng.normal(size=n),
        },
        index=each.index,
    )
    frame.iloc[5, 0] = frame.iloc[6, 2] = np.nan
    return frame


def inner_of(subjects: pd.DataFrame) -> pd.DataFrame:
    """Every training part, predicted as its subjects are when they are tested."""
    tested = subjects.dropna(subset=["probability"])
    parts = [
        part[part["fold"] != fold].assign(fold=fold)
        for _, part in tested.groupby("repeat")
        for fold in sorted(set(part["fold"]))
    ]
    return pd.concat(parts)[["subject", "outcome", "probability", "fold", "repeat"]]


@pytest.fixture(scope="module")
def evaluated(request: pytest.FixtureRequest) -> tuple[dict, pd.DataFrame]:
    simulate = request.getfixturevalue("simulate_once")
    subjects, regions = simulate(effect=1.2, num_subjects=160)
    background = Background(
        inner=inner_of(subjects),
        people=people_of(subjects),
        limit=-2.5,
        config=EvaluationConfig(prevalence=0.1, subgroup_floor=30),
    )
    return evaluate_subjects(subjects, 1, regions, background=background), subjects


class TestBaselines:
    def test_all_are_there_and_who_lacks_a_value_is_left_out(
        self, evaluated: tuple[dict, pd.DataFrame]
    ) -> None:
        found = {entry["name"]: entry for entry in evaluated[0]["baselines"]}
        assert {name: entry["n"] for name, entry in found.items()} == {
            "age_sex": 158,
            "ost": 157,
            "mci2": 159,
            "network_age_sex": 158,
        }
        assert found["age_sex"]["auc"]["value"] > 0.6 and found["ost"]["auc"]["value"] > 0.55
        assert found["network_age_sex"]["auc"]["value"] > found["age_sex"]["auc"]["value"]
        for entry in found.values():
            assert entry["difference"]["low"] < entry["difference"]["value"] < entry["difference"]["high"]

    def test_nothing_of_a_test_subject_is_in_its_model(self, cohort_tables: Simulate) -> None:
        """Another outcome of one subject changes the others' scores in its repeat, never its own."""
        subjects, _ = cohort_tables(effect=1.0, repeats=1)
        people = people_of(subjects)
        flipped = subjects.copy()
        flipped.loc[flipped["subject"] == "s0050", "outcome"] = 1
        before, after = (
            baseline_scores(Cohort.from_table(table), table, people, None)["age_sex"]
            for table in (subjects, flipped)
        )
        row = Cohort.from_table(subjects).subjects.index("s0050")
        assert before[row, 0] == after[row, 0]
        assert (before[:, 0] != after[:, 0]).sum() > 50

    def test_added_value_is_seen_and_none_is_not(self, evaluated: tuple[dict, pd.DataFrame]) -> None:
        added = evaluated[0]["added_value"]
        assert added["likelihood_ratio"]["p"] < 0.01 and added["likelihood_ratio"]["slope"] > 0
        assert added["difference"]["value"] > 0 and added["difference"]["p"] < 0.1
        assert [round(row["threshold"], 2) for row in added["net_benefit"]] == [0.05, 0.1, 0.2]
        rng = np.random.default_rng(0)
        outcome_N, x_N2 = rng.integers(0, 2, 200), rng.normal(size=(200, 2))
        p = [likelihood_ratio(outcome_N, x_N2, rng.random((200, 1)), 1.0)["p"] for _ in range(60)]
        assert stats.kstest(p, "uniform").pvalue > 0.01

    def test_the_locked_contrast_stands_alone_and_the_others_are_corrected(
        self, evaluated: tuple[dict, pd.DataFrame]
    ) -> None:
        contrasts = evaluated[0]["contrasts"]
        assert contrasts["primary"]["name"] == "age_sex" and "p_holm" not in contrasts["primary"]
        assert [row["name"] for row in contrasts["others"]] == ["ost", "mci2"]
        assert all(row["p_holm"] >= row["p"] for row in contrasts["others"])

    def test_one_fixed_set_has_no_training_part(self, cohort_tables: Simulate) -> None:
        subjects, _ = cohort_tables(effect=1.0, repeats=1)
        fixed = evaluate_subjects(
            subjects.assign(fold=0), 1, background=Background(people=people_of(subjects))
        )
        assert {entry["name"] for entry in fixed["baselines"]} == {"ost", "mci2"}
        assert "added_value" not in fixed and fixed["contrasts"]["primary"] is None


class TestUtility:
    def test_net_benefit_is_vickers_formula_at_the_cohorts_prevalence(self, cohort_tables: Simulate) -> None:
        subjects, _ = cohort_tables(effect=1.0, repeats=1)
        cohort = Cohort.from_table(subjects)
        weights_BN = bootstrap_weights(cohort.outcome_N, 1, 50)
        found = utility(cohort, {"network": cohort.probability_NR}, None, weights_BN)
        n, positive_N = len(cohort.subjects), cohort.outcome_N == 1
        for t, value in zip(THRESHOLDS, found["models"][0]["net_benefit"], strict=True):
            called_N = logit(cohort.probability_NR[:, 0]) >= logit(np.array(t)) - 1e-9
            expected = (called_N & positive_N).sum() / n - (called_N & ~positive_N).sum() / n * t / (1 - t)
            assert value == pytest.approx(expected)
        assert found["all"][0] == pytest.approx(positive_N.mean() - (1 - positive_N.mean()) * 0.01 / 0.99)

    def test_a_finished_model_is_moved_from_the_share_that_it_learnt_from(
        self, cohort_tables: Simulate
    ) -> None:
        """Asked for that very share, its probabilities stay as they are, whatever the tested subjects' share."""
        subjects, _ = cohort_tables(effect=1.0, repeats=1)
        subjects = subjects.assign(fold=0)
        cohort = Cohort.from_table(subjects)
        weights_BN = bootstrap_weights(cohort.outcome_N, 1, 10)
        found = utility(cohort, {"network": cohort.probability_NR}, 0.2, weights_BN, learnt_share=0.2)
        positive_N = cohort.outcome_N == 1
        for t, value in zip(THRESHOLDS, found["models"][0]["net_benefit"], strict=True):
            called_N = logit(cohort.probability_NR[:, 0]) >= logit(np.array(t)) - 1e-9
            expected = 0.2 * called_N[positive_N].mean() - 0.8 * called_N[~positive_N].mean() * t / (1 - t)
            assert value == pytest.approx(expected)
        folds = pd.DataFrame([{"repeat": 0, "fold": 0, "train": 100, "train_positive": 20}])
        folds = folds.assign(slope=1.0, intercept=0.0)
        config = EvaluationConfig(prevalence=0.2)
        told = evaluate_subjects(subjects, 1, folds=folds, background=Background(config=config))
        assert told["utility"]["models"][0]["net_benefit"] == pytest.approx(found["models"][0]["net_benefit"])

    def test_predictive_values_without_an_error_are_not_certain(self, cohort_tables: Simulate) -> None:
        """12 of 12 positives and 30 of 30 negatives right: Wilson's lower bounds are .757 and .886."""
        subjects, _ = cohort_tables(effect=1.0, repeats=1)
        cohort = Cohort.from_table(subjects)
        chosen = [*np.flatnonzero(cohort.outcome_N == 1)[:12], *np.flatnonzero(cohort.outcome_N == 0)[:30]]
        names = [cohort.subjects[index] for index in chosen]
        perfect = subjects[subjects["subject"].isin(names)].assign(fold=0, prediction=lambda t: t["outcome"])
        cohort = Cohort.from_table(perfect)
        found = predictive_values(cohort, 0.5, bootstrap_weights(cohort.outcome_N, 1, 50))
        sensitivity, specificity = 0.7575, 0.8865
        assert (found["ppv"].value, found["ppv"].high) == (1, 1)
        assert found["ppv"].low == pytest.approx(sensitivity / (sensitivity + 1 - specificity), abs=1e-3)
        assert found["npv"].low == pytest.approx(specificity / (specificity + 1 - sensitivity), abs=1e-3)

    def test_predictive_values_follow_bayes(self, cohort_tables: Simulate) -> None:
        subjects, _ = cohort_tables(effect=1.0)
        cohort = Cohort.from_table(subjects)
        own = predictive_values(
            cohort, float(cohort.outcome_N.mean()), bootstrap_weights(cohort.outcome_N, 1)
        )
        measured = evaluate_subjects(subjects, 1)["threshold"]
        assert own["ppv"].value == pytest.approx(measured["ppv"]["value"])
        assert own["npv"].value == pytest.approx(measured["npv"]["value"])
        rare = predictive_values(cohort, 0.05, bootstrap_weights(cohort.outcome_N, 1))
        assert rare["ppv"].value < own["ppv"].value < 1 and rare["npv"].value > own["npv"].value

    def test_the_users_prevalence_is_used(self, evaluated: tuple[dict, pd.DataFrame]) -> None:
        found = evaluated[0]["utility"]
        assert found["prevalence"] == 0.1 and found["given"]
        assert {curve["name"] for curve in found["models"]} == {"network", "age_sex", "network_age_sex"}
        assert max(max(curve["net_benefit"]) for curve in found["models"]) <= 0.1


class TestGroups:
    def test_small_groups_get_no_figures(self, evaluated: tuple[dict, pd.DataFrame]) -> None:
        groups = {(row["by"], row["group"]): row for row in evaluated[0]["subgroups"]}
        assert groups["sex", "women"]["n"] + groups["sex", "men"]["n"] == 159
        assert groups["sex", "women"]["auc"]["low"] < groups["sex", "women"]["auc"]["high"]
        assert not groups["machine", "b"]["enough"] and "auc" not in groups["machine", "b"]
        assert groups["machine", "b"]["n"] == 13
        assert any(np.isnan(row["n"]) for row in groups.values() if not row["enough"])

    def test_a_small_group_is_not_told_by_the_rest_of_the_total(self, cohort_tables: Simulate) -> None:
        subjects, _ = cohort_tables(effect=1.0, num_subjects=120)
        people = people_of(subjects)
        people["sex"] = np.where(np.arange(len(people)) % 40 == 1, "M", "F")  # three men
        people["device"] = np.where(
            np.arange(len(people)) % 40 == 1, "", people["device"]
        )  # unknown is no group
        background = Background(people=people, config=EvaluationConfig(subgroup_floor=10))
        groups = evaluate_subjects(subjects, 1, background=background)["subgroups"]
        by_sex = [row for row in groups if row["by"] == "sex"]
        assert {row["group"] for row in by_sex} == {"women", "men"}
        assert all(np.isnan(row["n"]) and np.isnan(row["positive"]) and "auc" not in row for row in by_sex)
        assert next(row for row in groups if (row["by"], row["group"]) == ("machine", "a"))["enough"]

    def test_missing_bones_by_outcome(self) -> None:
        table = pd.DataFrame(
            {
                "subject": list("abcdefgh"),
                "outcome": [1, 1, 1, 1, 0, 0, 0, 0],
                "regions_used": [0, 6, 6, 7, 7, 7, 7, 7],
            }
        )
        found = missing_by_outcome(table, 7)
        assert (found["some"]["positive"]["count"], found["some"]["positive"]["total"]) == (3, 4)
        assert found["some"]["negative"]["count"] == 0 and found["all"]["positive"]["count"] == 1
        assert found["some"]["p"] == pytest.approx(stats.fisher_exact([[3, 1], [0, 4]]).pvalue)
        # a bone that nobody has is missing in everybody
        assert missing_by_outcome(table, 8)["some"]["negative"]["count"] == 4

    def test_leaving_a_bone_out_changes_little_where_all_tell_the_same(
        self, evaluated: tuple[dict, pd.DataFrame]
    ) -> None:
        for entry in evaluated[0]["regions"]:
            assert abs(entry["without"]["difference"]["value"]) < 0.02
            assert entry["without"]["value"] == pytest.approx(evaluated[0]["auc"]["value"], abs=0.02)


class TestMeasuredValue:
    def test_cases_next_to_the_limit_are_left_out(self, evaluated: tuple[dict, pd.DataFrame]) -> None:
        clear, people = evaluated[0]["clear_cases"], people_of(evaluated[1])
        near = (np.abs(people["score"].iloc[1:] + 2.5) < 0.3).sum()  # the first has no bone
        assert (clear["left_out"], clear["n"]) == (near, 159 - near)
        assert clear["auc"]["low"] < clear["auc"]["value"]

    def test_agreement_is_the_textbook_one(self) -> None:
        rng = np.random.default_rng(0)
        measured = rng.normal(-1.7, 1.4, 80)
        predicted = 0.5 * measured - 0.6 + rng.normal(0, 0.4, 80)
        rows = {"subject": [f"s{i:02}" for i in range(80)], "measured": measured, "predicted": predicted}
        found = agreement(pd.DataFrame(rows).assign(repeat=0), 1.0, seed=1)
        difference = predicted - measured
        assert found["r"]["value"] == pytest.approx(stats.pearsonr(measured, predicted).statistic)
        assert found["bias"]["value"] == pytest.approx(difference.mean())
        reach = 1.96 * difference.std(ddof=1)
        limits = difference.mean() - reach, difference.mean() + reach
        assert (found["lower"]["value"], found["upper"]["value"]) == pytest.approx(limits)
        tilt = stats.linregress((measured + predicted) / 2, difference).slope
        assert found["tilt"]["value"] == pytest.approx(tilt) and tilt < 0
        fisher = stats.pearsonr(measured, predicted).confidence_interval()
        assert (found["r"]["low"], found["r"]["high"]) == pytest.approx((fisher.low, fisher.high), abs=0.03)

    def test_a_subject_counts_in_the_repeats_that_predict_it(self) -> None:
        """A fold with fewer than ten measured subjects has no regression, so its subjects have no value there."""
        rng = np.random.default_rng(0)
        rows = pd.DataFrame(
            {"subject": [f"s{i:02}" for i in range(30)], "measured": rng.normal(-1.7, 1.4, 30)}
        )
        parts = [
            rows.assign(predicted=0.5 * rows["measured"] + rng.normal(0, 0.4, 30), repeat=repeat)[
                20 * repeat :
            ]
            for repeat in (0, 1)
        ]
        apart = [agreement(part, 1.0, seed=1) for part in parts]
        found = agreement(pd.concat(parts), 1.0, seed=1)
        for name in ("r", "mae", "bias", "lower", "upper", "tilt"):
            assert found[name]["value"] == pytest.approx(np.mean([one[name]["value"] for one in apart]))
        assert found["n"] == 30 and np.isfinite(found["points"]["predicted"]).all()

    def test_the_limit_itself_is_osteoporotic_and_minus_one_normal(self) -> None:
        rows = pd.DataFrame(
            {"measured": [-2.5, -2.4, -1.0, -0.9], "predicted": [-0.5, -3, -1.5, -0.5], "repeat": 0}
        )
        assert three_classes(rows)["counts"] == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]

    def test_intervals_at_the_threshold_are_widened_over_folds(self, cohort_tables: Simulate) -> None:
        """The folds are the same subjects told apart or not: between both the widths differ by the widening."""
        subjects, _ = cohort_tables(effect=0.5, num_subjects=100, folds=5, repeats=1)
        widths = []
        for table in (subjects.assign(fold=0), subjects):
            cohort = Cohort.from_table(table)
            weights_BN = bootstrap_weights(cohort.outcome_N, 0)
            found = at_threshold(table, cohort, weights_BN)
            found |= {name: v.to_dict() for name, v in predictive_values(cohort, 0.2, weights_BN).items()}
            names = ("f1", "macro_f1", "balanced_accuracy", "ppv", "npv")
            widths.append([found[name]["high"] - found[name]["low"] for name in names])
        expected = np.sqrt(1 + 5 / 4) * np.array(widths[0])
        assert widths[1] == pytest.approx(expected, rel=1e-3)

    def test_expected_over_observed(self) -> None:
        """10 of 40 observed, 12 expected: 1.2, factor exp(1.96 sqrt(.75 / 10))."""
        outcome_N, people = np.array([1] * 10 + [0] * 30), [str(index) for index in range(40)]
        interval = expected_over_observed(outcome_N, np.full((40, 2), 0.3), people)
        factor = np.exp(1.95996 * np.sqrt(0.075))
        expected = pytest.approx((1.2, 1.2 / factor, 1.2 * factor), rel=1e-4)
        assert (interval.value, interval.low, interval.high) == expected
        assert np.isnan(expected_over_observed(np.zeros(3, int), np.full((3, 1), 0.3), ["a", "b", "c"]).value)
        # every film twice tells no more of these people
        twice = expected_over_observed(np.tile(outcome_N, 2), np.full((80, 2), 0.3), people * 2)
        assert (twice.value, twice.low, twice.high) == expected


def test_looks_are_counted_once_each(cohort_tables: Simulate, tmp_path: Path) -> None:
    subjects, _ = cohort_tables(effect=1.0, num_subjects=20, folds=2)
    first, second = (lock(tmp_path, {"contrast": name}) for name in ("age_sex", "ost"))
    assert first != second and first == lock(tmp_path, {"contrast": "age_sex"})
    assert looks(tmp_path) == Looks(0, 0, 0)
    record(tmp_path, first, subjects)
    record(tmp_path, first, subjects.sample(frac=1, random_state=0))  # the same, run again
    assert looks(tmp_path, first) == Looks(1, 1, 1)
    record(tmp_path, second, subjects)
    record(tmp_path, second, subjects.assign(probability=subjects["probability"] / 2))
    assert looks(tmp_path, first) == Looks(3, 2, 1)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"contrast": "best"}, "evaluation.contrast must be one of age_sex, ost, mci2, but is best."),
        ({"prevalence": 0.0}, "evaluation.prevalence must lie between 0 and 1, but is 0.0."),
        ({"subgroup_floor": 3}, "evaluation.subgroup_floor must be at least 10, but is 3."),
        ({"margin": -1.0}, "evaluation.margin must be at least 0, but is -1.0."),
    ],
)
def test_config_names_the_field(setting: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EvaluationConfig(**setting)
    assert str(caught.value) == sentence
