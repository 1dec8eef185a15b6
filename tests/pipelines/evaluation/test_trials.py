"""Trials over seeds: mean, SD and differences of a hand-made sweep equal what the textbook gives by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipelines.evaluation.intervals import corrected_resampled_t
from pipelines.evaluation.tables import PaperTable, TableRow
from pipelines.evaluation.trials import difference, summarise, table


def predicted(calls: dict[tuple[int, int], str], outcomes: str = "1100", train: int = 80) -> pd.DataFrame:
    """Rows of parts (repeat, fold), whose subjects' outcomes are given: + called, - not, . not evaluable.

    train: how many subjects every part's model learnt from.
    """
    rows = []
    for (repeat, fold), signs in calls.items():
        for number, (sign, outcome) in enumerate(zip(signs, outcomes, strict=True)):
            subject = f"s{fold}{number}"
            probability = {"+": 0.9 - 0.01 * number, "-": 0.2 - 0.01 * number, ".": np.nan}[sign]
            rows.append(
                {"unit": subject, "subject": subject, "outcome": int(outcome), "repeat": repeat, "fold": fold}
                | {"probability": probability, "prediction": {"+": 1, "-": 0, ".": -1}[sign]}
                | {"train": train}
            )
    return pd.DataFrame(rows)


def test_mean_and_sample_sd_over_seeds() -> None:
    first = predicted({(0, 0): "++--", (0, 1): "+--+"})  # accuracy 1 and .5
    second = predicted({(0, 0): "+---", (0, 1): "--++"})  # accuracy .75 and 0
    found = summarise({1: first, 2: second})
    assert found["mean"]["accuracy"] == pytest.approx((0.75 + 0.375) / 2)
    assert found["sd"]["accuracy"] == pytest.approx(np.std([0.75, 0.375], ddof=1))
    assert found["mean"]["recall"] == pytest.approx(np.mean([np.mean([1, 0.5]), np.mean([0.5, 0])]))
    assert (found["n"], found["positive"], found["parts"], found["seeds"]) == (8, 4, 4, [1, 2])


def test_a_measure_without_a_denominator_is_left_out_and_counted() -> None:
    found = summarise({1: predicted({(0, 0): "----", (0, 1): "++--"})})
    assert found["mean"]["precision"] == 1 and found["undefined"]["precision"] == 1
    assert found["mean"]["f1"] == pytest.approx(0.5) and found["undefined"]["f1"] == 0
    assert np.isnan(found["sd"]["precision"])


def missed(errors: int) -> str:
    """Calls of ten positives and ten negatives, of which so many positives are missed."""
    return "-" * errors + "+" * (10 - errors) + "-" * 10


def two_methods(dealt_anew: bool) -> tuple[dict[int, pd.DataFrame], dict[int, pd.DataFrame]]:
    """Two seeds of a method that misses nobody and of one that does, in two folds, the second seed's dealt anew."""
    outcomes = "1" * 10 + "0" * 10
    better, worse = {}, {}
    for seed, (first, second) in {1: (2, 3), 2: (2, 4)}.items():
        dealt = {"unit": lambda rows, seed=seed: f"{seed if dealt_anew else 0} " + rows["unit"]}
        better[seed] = predicted({(0, 0): missed(0), (0, 1): missed(0)}, outcomes, 20).assign(**dealt)
        worse[seed] = predicted({(0, 0): missed(first), (0, 1): missed(second)}, outcomes, 20).assign(**dealt)
    return better, worse


def test_seeds_that_tested_the_same_folds_are_no_more_evidence_than_one() -> None:
    better, worse = two_methods(dealt_anew=False)
    found = difference(better, worse)["difference"]["accuracy"]
    mean_of_seeds = corrected_resampled_t(np.array([[0.1, 0.175]]), 20 / 20)
    assert (found["value"], found["low"]) == pytest.approx((mean_of_seeds.value, max(mean_of_seeds.low, -1)))
    anew = difference(*two_methods(dealt_anew=True))["difference"]["accuracy"]
    assert found["high"] - found["low"] > anew["high"] - anew["low"]


def test_differences_over_folds_are_nadeau_and_bengios() -> None:
    better, worse = two_methods(dealt_anew=True)
    found = difference(better, worse)
    gains_RF = np.array([[0.1, 0.15], [0.1, 0.2]])  # of accuracy, by seed and fold
    variance = np.square(gains_RF - gains_RF.mean(axis=1, keepdims=True)).sum() / 2
    half = stats.t.ppf(0.975, 2) * np.sqrt(variance * (1 / 2 + 1 / 1))
    accuracy = found["difference"]["accuracy"]
    assert found["kind"] == "folds"
    assert accuracy["value"] == pytest.approx(gains_RF.mean())
    assert (accuracy["low"], accuracy["high"]) == pytest.approx(
        (gains_RF.mean() - half, gains_RF.mean() + half)
    )
    of_means = summarise(better)["mean"]["f1"] - summarise(worse)["mean"]["f1"]
    assert found["difference"]["f1"]["value"] == pytest.approx(of_means)


def test_the_method_that_learnt_from_fewer_subjects_sets_the_width() -> None:
    """SupCon and fine-tuning hold some of the training part back: n_train is what is left of it."""
    outcomes = "1" * 10 + "0" * 10
    whole = {1: predicted({(0, 0): missed(0), (0, 1): missed(0)}, outcomes, 20)}
    for train in (20, 15):
        held_back = {1: predicted({(0, 0): missed(2), (0, 1): missed(3)}, outcomes, train)}
        for first, second, sign in ((whole, held_back, 1), (held_back, whole, -1)):
            accuracy = difference(first, second)["difference"]["accuracy"]
            gains_1F = sign * np.array([[0.1, 0.15]])
            expected = corrected_resampled_t(gains_1F, test_over_train=20 / train)
            assert accuracy["value"] == pytest.approx(expected.value)
            assert accuracy["high"] == pytest.approx(expected.high)


def test_random_splits_are_the_parts_where_each_seed_has_one() -> None:
    outcomes = "1" * 10 + "0" * 10
    better = {seed: predicted({(0, seed): missed(0)}, outcomes) for seed in (1, 2, 3)}
    worse = {seed: predicted({(0, seed): missed(seed)}, outcomes) for seed in (1, 2, 3)}
    found = difference(better, worse)
    gains = np.array([0.05, 0.1, 0.15])
    half = stats.t.ppf(0.975, 2) * np.sqrt(gains.var(ddof=1) * (1 / 3 + 20 / 80))
    accuracy = found["difference"]["accuracy"]
    assert found["kind"] == "splits"
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((gains.mean() - half, gains.mean() + half))


def test_one_test_set_redraws_its_subjects() -> None:
    outcomes = "1" * 20 + "0" * 40
    better = {seed: predicted({(0, 0): "+" * 18 + "-" * 42}, outcomes) for seed in (1, 2)}
    worse = {
        1: predicted({(0, 0): "+" * 10 + "-" * 50}, outcomes),
        2: predicted({(0, 0): "+" * 12 + "-" * 48}, outcomes),
    }
    found = difference(better, worse)
    recall = found["difference"]["recall"]
    assert found["kind"] == "fixed" and found["paired"] == 60
    assert recall["value"] == pytest.approx(0.9 - 0.55)
    error = np.sqrt(np.var([1] * 6 + [0.5] * 2 + [0] * 12) / 20)  # of the mean gain of a positive
    assert recall["low"] == pytest.approx(recall["value"] - 1.96 * error, abs=0.06)
    assert recall["high"] == pytest.approx(recall["value"] + 1.96 * error, abs=0.06)


def test_films_of_one_woman_are_redrawn_together() -> None:
    rng = np.random.default_rng(0)
    outcomes = "10" * 20
    films = predicted({(0, 0): "".join(rng.choice(["+", "-"], 40))}, outcomes)
    other = predicted({(0, 0): "".join(rng.choice(["+", "-"], 40))}, outcomes)
    alone = difference({1: films}, {1: other})["difference"]["accuracy"]
    doubled, other_doubled = (
        pd.concat([rows, rows.assign(unit=rows["unit"] + "b")]) for rows in (films, other)
    )
    found = difference({1: doubled}, {1: other_doubled})["difference"]["accuracy"]
    assert found == pytest.approx(alone)  # twice the films of the same women tell nothing new


def test_only_units_that_both_could_read_are_compared() -> None:
    found = difference({1: predicted({(0, 0): "++-."})}, {1: predicted({(0, 0): ".+-+"})})
    assert found["paired"] == 2 and found["difference"]["accuracy"]["value"] == 0


def test_a_row_without_trials_is_left_out_of_the_table() -> None:
    asked = PaperTable(
        title="t",
        rows=[
            TableRow(name="A", trial="a", minus="b"),
            TableRow(name="B", trial="b"),
            TableRow(name="C", trial="c", minus="b"),
        ],
    )
    rows = {1: predicted({(0, 0): "++--"})}
    found = table(asked, {"a": rows, "b": {1: predicted({(0, 0): "+---"})}})
    assert [row["row"] for row in found] == ["A", "B"]
    assert found[0]["minus"] == "b" and found[0]["difference"]["accuracy"]["value"] == 0.25
    assert "difference" not in found[1]
