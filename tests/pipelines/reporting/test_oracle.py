"""A bound over the tested films alone: better than perfect is a leak where chance does not explain it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.reporting.oracle import oracle_levels


def tables(
    women: int, oracle: np.ndarray, model: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Films (two per exam), exams and oracle scores, an exam per woman; every second one is positive."""
    outcome = np.arange(women) % 2
    names = [f"w{n:03d}" for n in range(women)]
    exams = pd.DataFrame(
        {"subject": names, "exam": names, "outcome": outcome, "probability": model, "split": "test"}
    )
    films = exams.loc[exams.index.repeat(2)].reset_index(drop=True)
    films["key"] = [f"k{n}" for n in range(len(films))]
    twice = np.repeat(oracle, 2)
    return films, exams, pd.DataFrame({"key": films["key"], "oracle": twice, "oracle_exam": twice})


def test_a_leak_is_an_alarm_and_luck_is_none() -> None:
    rng = np.random.default_rng(0)
    outcome = np.arange(200) % 2
    fair = outcome + rng.normal(0, 1, 200)
    found = oracle_levels(*tables(200, fair, outcome + rng.normal(0, 0.1, 200)))
    assert {level: one["alarm"] for level, one in found.items()} == {"film": True, "exam": True}
    assert found["exam"]["difference"]["low"] > 0 and found["exam"]["value"] < 0.9
    found = oracle_levels(*tables(200, fair, outcome + rng.normal(0, 1.5, 200)))
    assert not found["exam"]["alarm"] and found["exam"]["difference"]["value"] < 0
    few = np.arange(10) % 2 + rng.normal(0, 1, 10)
    lucky = oracle_levels(*tables(10, few, few + 1e-3 * (np.arange(10) % 2)))
    assert not lucky["exam"]["alarm"]


def test_films_that_are_not_the_two_in_the_middle_bound_no_exam() -> None:
    films, exams, scores = tables(20, np.linspace(0, 1, 20), np.linspace(0, 1, 20))
    scores.loc[3, "oracle_exam"] = np.nan
    assert set(oracle_levels(films, exams, scores)) == {"film"}
