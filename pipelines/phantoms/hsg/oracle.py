"""How well a film can tell occlusion at best, and how badly the mere amount of contrast does.

The one-frame oracle is Bayes' reader of the true filling at one moment: how far each tube is filled, whether it
is dilated, how much free or pocketed contrast lies at each end, how full the cavity is. The probability of an
occluded tube for each such reading comes from many exams drawn by the same law. Reading pixels can't beat it
by more than chance; what a film before the spill does not hold, nobody sees.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipelines.phantoms.arrays import Booleans, Floats
from pipelines.phantoms.hsg.case import Exam, draw_exam
from pipelines.phantoms.hsg.filling import Filling, filling

DRAWN = 6_000  # exams behind the oracle's table
ROUNDS = 1000
PRIOR = 4.0  # exams' worth of the overall share, in each cell of the table
_FRONTS = (0.03, 0.35, 0.85, 0.999)
_SPILT = (0.02, 0.15, 0.5)


def middle_two(times: list[float]) -> list[float]:
    """The two films in the middle of an exam's; the paper's choice."""
    count = len(times)
    return sorted(times)[max(0, count // 2 - 1) : count // 2 + 1]


def oracle_probability(exam: Exam, now: Filling, effect: str) -> float:
    """Probability of an occluded tube, given all that is true of the filling at this moment."""
    table, share = _table(effect)
    positive, total = table.get(_reading(exam, now), (0, 0))
    return (positive + PRIOR * share) / (total + PRIOR)


def clustered_auc(
    outcome_N: Booleans, score_N: Floats, woman_N: NDArray[np.int64], seed: int
) -> dict[str, float | int | None]:
    """AUC over films with its 95 % bootstrap interval over women; None where one class only is there."""
    counts = {"n": len(outcome_N), "positives": int(outcome_N.sum())}
    if counts["positives"] in (0, counts["n"]):
        return {"auc": None, "low": None, "high": None, **counts}
    wins_PN = (score_N[outcome_N][:, None] > score_N[~outcome_N]) + 0.5 * (
        score_N[outcome_N][:, None] == score_N[~outcome_N]
    )
    women, member_N = np.unique(woman_N, return_inverse=True)
    rng = np.random.default_rng(seed)
    aucs = []
    for _ in range(ROUNDS):
        weight_N = np.bincount(rng.integers(0, len(women), len(women)), minlength=len(women))[member_N]
        sick_P, well_N = weight_N[outcome_N], weight_N[~outcome_N]
        if sick_P.sum() and well_N.sum():
            aucs.append(float(sick_P @ wins_PN @ well_N / (sick_P.sum() * well_N.sum())))
    low, high = np.quantile(aucs, [0.025, 0.975])
    return {"auc": float(wins_PN.mean()), "low": float(low), "high": float(high), **counts}


@cache
def _table(effect: str) -> tuple[dict[tuple[object, ...], tuple[int, int]], float]:
    """Reading -> occluded and all films with it; and the share of occluded exams."""
    counts: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0])
    positive = total = 0
    for number in range(DRAWN):
        exam = draw_exam(np.random.default_rng([977, number]), effect)
        if exam.occluded is None:
            continue
        positive, total = positive + exam.occluded, total + 1
        for time in middle_two(exam.times):
            cell = counts[_reading(exam, filling(exam, time))]
            cell[0] += exam.occluded
            cell[1] += 1
    return {reading: (cell[0], cell[1]) for reading, cell in counts.items()}, positive / total


def _reading(exam: Exam, now: Filling) -> tuple[object, ...]:
    """What there is to see, in coarse steps, whichever side is which."""
    sides = [
        (
            int(np.searchsorted(_FRONTS, now.front[side], side="right")),
            int(np.searchsorted(_SPILT, now.near[side], side="right")),
            tube.dilated and now.front[side] > 0.5,
            tube.pocket and now.spilt[side] > 0.05,
        )
        for side, tube in enumerate(exam.tubes)
    ]
    return now.cavity > 0.55, *sorted(sides)
