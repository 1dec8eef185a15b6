"""What one film can tell at best, and that the mere amount of contrast tells little."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.phantoms.hsg import oracle
from pipelines.phantoms.hsg.case import draw_exam
from pipelines.phantoms.hsg.filling import filling
from pipelines.phantoms.hsg.film import Moment, Scene


def films(effect: str, count: int) -> list:
    """(exam, filling, woman) of the two films in the middle."""
    drawn = [(n, draw_exam(np.random.default_rng([4, n, 1]), effect)) for n in range(count)]
    return [
        (exam, filling(exam, time), woman)
        for woman, exam in drawn
        if exam.occluded is not None
        for time in oracle.middle_two(exam.times)
    ]


def auc_of(found: list, scores: np.ndarray, outcomes: np.ndarray) -> dict:
    return oracle.clustered_auc(outcomes == 1, scores, np.array([woman for *_, woman in found]), 1)


@pytest.mark.parametrize("effect", ["paper", "demo"])
def test_one_film_tells_much_but_not_all(effect: str) -> None:
    found = films(effect, 700)
    outcomes = np.array([exam.occluded for exam, *_ in found])
    scores = oracle.film_oracle([(exam, now) for exam, now, _ in found], effect)
    auc = auc_of(found, scores, outcomes)
    assert 0.78 < auc["auc"] <= 0.95
    # calibrated: Bayes' reader says what happens
    high = scores > np.median(scores)
    assert outcomes[high].mean() == pytest.approx(scores[high].mean(), abs=0.06)


def test_no_single_trace_beats_the_oracles() -> None:
    """Reflux tells, and so do two films more than one: a bound that left them out would cry leak at a fair reader."""
    found = films("paper", 900)
    outcomes = np.array([exam.occluded for exam, *_ in found])
    film = auc_of(found, oracle.film_oracle([(exam, now) for exam, now, _ in found], "paper"), outcomes)[
        "auc"
    ]
    reflux = np.array([exam.reflux for exam, *_ in found])
    assert film > auc_of(found, reflux, outcomes)["auc"] + 0.1
    exams = list({woman: exam for exam, _, woman in found}.values())
    occluded = np.array([exam.occluded == 1 for exam in exams])
    both = oracle.clustered_auc(occluded, oracle.exam_oracle(exams, "paper"), np.arange(len(exams)), 1)["auc"]
    per_woman = np.array([woman for *_, woman in found])
    single = oracle.film_oracle([(exam, now) for exam, now, _ in found], "paper")
    mean = np.array([single[per_woman == woman].mean() for woman in dict.fromkeys(per_woman)])
    assert both is not None and both > oracle.clustered_auc(occluded, mean, np.arange(len(exams)), 1)["auc"]


def test_under_null_nothing_tells() -> None:
    found = films("null", 700)
    told = {
        woman: draw_exam(np.random.default_rng([4, woman, 2]), "null").occluded or 0 for *_, woman in found
    }
    outcomes = np.array([told[woman] for *_, woman in found])
    scores = oracle.film_oracle([(exam, now) for exam, now, _ in found], "null")
    auc = auc_of(found, scores, outcomes)
    assert auc["low"] <= 0.5 <= auc["high"]


@pytest.mark.slow
@pytest.mark.parametrize("effect", ["paper", "demo"])
def test_amount_of_contrast_does_not_separate(effect: str) -> None:
    """Either way: a reader of the area might take more contrast for better or for worse."""
    found = films(effect, 300)
    outcomes = np.array([exam.occluded for exam, *_ in found])
    areas, bright = [], []
    for exam, now, woman in found:
        scene = Scene(exam, (4, woman, 1), 96)
        film = scene.film(3, Moment(time=now.time, loop=False, oblique=0.0, name="x"))
        areas.append(film.contrast_mm2)
        levels = film.pixels / (2**scene.room.bits - 1)
        bright.append(
            float(((1 - levels if scene.room.monochrome1 != scene.room.dark else levels) > 0.8).mean())
        )
    for scores in (areas, bright):
        auc = auc_of(found, np.array(scores), outcomes)["auc"]
        assert max(auc, 1 - auc) <= 0.65


def test_two_in_the_middle() -> None:
    assert oracle.middle_two([5.0, 1, 2, 3]) == [2, 3]
    assert oracle.middle_two([1.0, 2, 3]) == [1, 2]
    assert oracle.middle_two([7.0]) == [7]
