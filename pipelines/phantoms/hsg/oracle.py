"""How well films can tell occlusion at best, and how badly the mere amount of contrast does.

The oracles are readers of the true filling, who need no pixels: how far each tube is filled, whether it is dilated,
how much free or pocketed contrast lies at each end, how full the cavity is, how much runs back, and when. One reads a
film, the other both films in the middle of an exam; what they say comes from many exams drawn by the same law
(gradient boosting). Reading pixels can't beat them by more than chance; what a film before the spill does not hold,
nobody sees. Two films tell more than one, so an exam has a bound of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from pipelines.phantoms.arrays import Booleans, Floats
from pipelines.phantoms.hsg.case import Exam, draw_exam, law_of
from pipelines.phantoms.hsg.filling import Filling, filling

DRAWN = 6_000  # exams behind the oracles
ROUNDS = 1000
MIDDLE = 2  # films of an exam


def middle_two(times: list[float]) -> list[float]:
    """The two films in the middle of an exam's; the paper's choice."""
    count = len(times)
    return sorted(times)[max(0, count // 2 - 1) : count // 2 + 1]


def film_oracle(seen: Sequence[tuple[Exam, Filling]], effect: str) -> Floats:
    """Probability of an occluded tube, given all that is true of the filling on one film, N."""
    return _read(np.array([_reading(exam, now) for exam, now in seen]), effect, films=1)


def exam_oracle(exams: Sequence[Exam], effect: str) -> Floats:
    """Probability of an occluded tube, given all that is true of both films in the middle of an exam, N."""
    return _read(np.array([_both(exam) for exam in exams]), effect, films=MIDDLE)


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


def _read(reading_NR: Floats, effect: str, films: int) -> Floats:
    if not len(reading_NR):
        return np.zeros(0)
    with threadpool_limits(1):  # the same sums in the same order
        probability_N2: Floats = _reader(law_of(effect), films).predict_proba(reading_NR)
    return probability_N2[:, 1]


@cache
def _reader(law: str, films: int) -> HistGradientBoostingClassifier:
    reading_NR, occluded_N = _drawn(law)[films - 1]
    reader = HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(1):
        return reader.fit(reading_NR, occluded_N)


@cache
def _drawn(law: str) -> tuple[tuple[Floats, NDArray[np.int64]], tuple[Floats, NDArray[np.int64]]]:
    """Readings and outcomes of many exams: by film, and of both films in the middle."""
    drawn = [draw_exam(np.random.default_rng([977, number]), law) for number in range(DRAWN)]
    known = [exam for exam in drawn if exam.occluded is not None]
    both_NR = np.array([_both(exam) for exam in known])
    occluded_N = np.array([exam.occluded for exam in known], np.int64)
    return (both_NR.reshape(len(known) * MIDDLE, -1), np.repeat(occluded_N, MIDDLE)), (both_NR, occluded_N)


def _both(exam: Exam) -> list[float]:
    """Of both films in the middle; an exam of one film shows it twice."""
    times = (middle_two(exam.times) * MIDDLE)[:MIDDLE]
    return [number for time in times for number in _reading(exam, filling(exam, time))]


def _reading(exam: Exam, now: Filling) -> list[float]:
    """What there is to see, whichever side is which."""
    sides = [
        (
            now.front[side],
            now.near[side],
            now.spilt[side] * tube.pocket,
            float(tube.dilated and now.front[side] > 0.5),
        )
        for side, tube in enumerate(exam.tubes)
    ]
    runs_back = exam.reflux * float(np.clip(now.time / 0.6, 0, 1))
    return [
        now.time,
        now.cavity,
        now.drained,
        runs_back,
        *(number for side in sorted(sides) for number in side),
    ]
