"""Simulated test predictions: subjects with a latent score, repeated stratified folds, seven bones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

Tables = tuple[pd.DataFrame, pd.DataFrame]


def simulate(
    effect: float, num_subjects: int = 100, seed: int = 0, repeats: int = 2, folds: int = 5
) -> Tables:
    """Subject and region tables in which `effect` is the distance of the classes in standard deviations.

    The first positive subject has no bone at all, every fifth lacks one.
    """
    rng = np.random.default_rng(seed)
    outcome_N = (np.arange(num_subjects) < 0.3 * num_subjects).astype(int)
    score_N = effect * outcome_N + rng.normal(size=num_subjects)
    subject_rows, region_rows = [], []
    for repeat in range(repeats):
        fold_N = np.zeros(num_subjects, dtype=int)
        dealer = StratifiedKFold(folds, shuffle=True, random_state=repeat)
        for fold, (_, test) in enumerate(dealer.split(outcome_N, outcome_N)):
            fold_N[test] = fold
        for row in range(num_subjects):
            found = 0 if row == 0 else 6 if row % 5 == 0 else 7
            probability = 1 / (1 + np.exp(1 - score_N[row] - 0.2 * rng.normal())) if found else np.nan
            shared = {
                "subject": f"s{row:04d}",
                "outcome": outcome_N[row],
                "fold": fold_N[row],
                "repeat": repeat,
                "seed": repeat,
                "method": "simclr",
                "split": "test",
            }
            subject_rows.append(
                shared
                | {
                    "probability": probability,
                    "spread": np.nan,
                    "prediction": int(probability >= 0.5) if found else -1,
                    "threshold": 0.5,
                    "regions_used": found,
                    "mci2": 0.5 - 0.05 * score_N[row] + 0.03 * rng.normal(),
                    "mci2_flag": "",
                }
            )
            region_rows += [
                shared
                | {
                    "exam": "",
                    "key": f"k{row}",
                    "region": f"bone{bone}",
                    "probability": probability + 0.01 * rng.normal() if bone < found else np.nan,
                    "evaluable": bone < found,
                }
                for bone in range(7)
            ]
    return pd.DataFrame(subject_rows), pd.DataFrame(region_rows)


@pytest.fixture
def cohort_tables() -> Callable[..., Tables]:
    """`simulate`, for tests that choose the effect."""
    return simulate


@pytest.fixture(scope="module")
def simulate_once() -> Callable[..., Tables]:
    """`simulate`, for fixtures that a module's tests share."""
    return simulate
