"""Do the intervals hold? Simulated cohorts of 192, two heads on features, repeated folds, the report's own intervals.

    python -m tests.benchmarks.intervals [COHORTS=1000] [PROCESSES=1]

Each cohort has two blocks of features, one per method, that carry the outcome equally well (or not at all), beside
age and sex. A logistic layer per block is trained and tested in 3 x 5 stratified folds. The truth of a cohort is
what its own training size reaches on people who were never seen, averaged over all cohorts; the two methods are
equal by construction, so every difference that excludes zero is an error of the first kind.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from pipelines.evaluation import metrics
from pipelines.evaluation.baselines import likelihood_ratio
from pipelines.evaluation.calibration import sigmoid
from pipelines.evaluation.cohort import Cohort
from pipelines.evaluation.discrimination import mean_auc, paired_difference, pooled
from pipelines.evaluation.intervals import RESAMPLES, bootstrap_weights

Floats = npt.NDArray[np.float64]

SUBJECTS, POSITIVE, FEATURES, FOLDS, REPEATS, FRESH = 192, 54, 12, 5, 3, 4000
L2 = 0.1
EFFECTS = {"null": 0.0, "weak": 0.25, "paper": 0.45}
"""Distance of the classes along each feature of a block, in standard deviations."""


@dataclass
class Cell:
    """One cohort: intervals by name, true values by name, and whether the difference excludes zero."""

    intervals: dict[str, dict[str, float]]
    truths: dict[str, float]
    excluded: dict[str, bool] = field(default_factory=dict)


def draw(rng: np.random.Generator, outcome_N: npt.NDArray[np.int64], effect: float) -> Floats:
    """Features (2 x N x D) of two methods; people differ, so the blocks are correlated by a shared part."""
    shared_ND = rng.normal(size=(len(outcome_N), FEATURES))
    own_2ND = rng.normal(size=(2, len(outcome_N), FEATURES))
    shift_N1 = effect * outcome_N[:, None] / np.sqrt(FEATURES / 4)
    return np.asarray(np.sqrt(0.5) * shared_ND + np.sqrt(0.5) * own_2ND + shift_N1)


def simulate(effect: float, seed: int, resamples: int = RESAMPLES) -> Cell:
    """One cohort through repeated folds."""
    rng = np.random.default_rng([seed, round(1000 * effect)])
    outcome_N = (np.arange(SUBJECTS) < POSITIVE).astype(np.int64)
    fresh_F = (np.arange(FRESH) < FRESH * POSITIVE // SUBJECTS).astype(np.int64)
    x_2ND, fresh_2FD = draw(rng, outcome_N, effect), draw(rng, fresh_F, effect)
    probability_2NR = np.zeros((2, SUBJECTS, REPEATS))
    fold_NR = np.zeros((SUBJECTS, REPEATS), dtype=np.int64)
    truth = defaultdict(list)
    for repeat in range(REPEATS):
        dealer = StratifiedKFold(FOLDS, shuffle=True, random_state=seed * REPEATS + repeat)
        for fold, (train, test) in enumerate(dealer.split(x_2ND[0], outcome_N)):
            fold_NR[test, repeat] = fold
            for method in range(2):
                layer = LogisticRegression(C=1 / (L2 * len(train))).fit(
                    x_2ND[method, train], outcome_N[train]
                )
                score_N = layer.decision_function(x_2ND[method, test])
                probability_2NR[method, test, repeat] = sigmoid(score_N)
                unseen_F = layer.decision_function(fresh_2FD[method])
                if method == 0:
                    once = np.ones((1, FRESH))
                    truth["auc"].append(metrics.auc(fresh_F, unseen_F, once)[0])
                    truth["average_precision"].append(metrics.average_precision(fresh_F, unseen_F, once)[0])
                    truth["brier"].append(metrics.brier(fresh_F, sigmoid(unseen_F), once)[0])
    cohort = Cohort(
        subjects=[f"s{row:04d}" for row in range(SUBJECTS)],
        outcome_N=outcome_N,
        probability_NR=probability_2NR[0],
        fold_NR=fold_NR,
        prediction_NR=(probability_2NR[0] >= 0.5).astype(np.int64),
    )
    weights_BN = bootstrap_weights(outcome_N, seed, resamples)
    together = pooled(cohort, probability_2NR[0], weights_BN)
    intervals = {
        "auc": mean_auc(cohort, probability_2NR[0], weights_BN),
        "pooled auc": together["auc"],
        "average_precision": together["average_precision"],
        "brier": together["brier"],
    }
    truths = {name: float(np.mean(values)) for name, values in truth.items()}
    difference = paired_difference(cohort, probability_2NR[0], probability_2NR[1])
    excluded = {"difference of auc": not difference["low"] <= 0 <= difference["high"]}
    if effect == 0:
        age_N1 = rng.normal(size=(SUBJECTS, 1))
        test = likelihood_ratio(outcome_N, age_N1, probability_2NR[0], cohort.widening)
        excluded["likelihood ratio"] = test["p"] < 0.05
    return Cell(intervals, truths | {"pooled auc": truths["auc"]}, excluded)


def coverage(cells: list[Cell]) -> dict[str, Any]:
    """Share of intervals that hold the truth (expected, and of the cohort's own models), and of false differences."""
    result: dict[str, Any] = {}
    for name in cells[0].intervals:
        expected = np.mean([cell.truths[name] for cell in cells])
        low, high = (np.array([cell.intervals[name][end] for cell in cells]) for end in ("low", "high"))
        own = np.array([cell.truths[name] for cell in cells])
        result[name] = {
            "truth": float(expected),
            "covered": float(((low <= expected) & (expected <= high)).mean()),
            "covered_own": float(((low <= own) & (own <= high)).mean()),
            "half_width": float((high - low).mean() / 2),
        }
    for name in cells[0].excluded:
        result[name] = {"type_1_error": float(np.mean([cell.excluded[name] for cell in cells]))}
    return result


def main(cohorts: int, processes: int) -> None:
    """Print a table per effect."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begun = time.perf_counter()
    print(f"{cohorts} cohorts of {SUBJECTS} ({POSITIVE} positive), {REPEATS} x {FOLDS} folds")
    for name, effect in EFFECTS.items():
        with ProcessPoolExecutor(processes) as pool:
            cells = list(pool.map(simulate, [effect] * cohorts, range(cohorts), chunksize=4))
        print(f"\n{name}: effect {effect}")
        for measure, found in coverage(cells).items():
            print(f"  {measure:20}", "  ".join(f"{key} {value:.3f}" for key, value in found.items()))
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [1000, 1][len(given) :]))
