"""Classes come equally often, everyone else once."""

from __future__ import annotations

import numpy as np

from pipelines.pretraining.samples import balanced


def test_the_rarer_outcome_is_repeated_evenly() -> None:
    outcome_N = np.array([-1, 0, 0, 1, 0, -1, 0, 1, 0])
    count_N = np.bincount(balanced(outcome_N), minlength=9)
    assert (count_N[outcome_N != 1] == 1).all()
    assert sorted(count_N[outcome_N == 1]) == [2, 3]


def test_one_outcome_or_none_changes_nothing() -> None:
    for outcome_N in (np.array([-1, -1]), np.array([0, -1, 0]), np.array([1, 0])):
        assert balanced(outcome_N).tolist() == list(range(len(outcome_N)))
