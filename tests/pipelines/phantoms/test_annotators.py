"""Laws of the annotators: close to the truth, a1 generous, doubt where it belongs."""

from __future__ import annotations

import numpy as np

from pipelines.phantoms.annotators import annotate
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.film import Film, render, subject_of

CONFIG = PhantomsConfig(seed=5)


def _complete_films(count: int) -> list[tuple[Film, float]]:
    films = []
    for number in range(3 * count):
        subject = subject_of(CONFIG, number)
        if not subject.missing:
            film = render(subject, 0, CONFIG)
            films.append((film, subject.metacarpal3_mm / film.spacing_mm))
    return films[:count]


def _dice(a_HW: np.ndarray, b_HW: np.ndarray) -> float:
    scores = [
        2 * ((a_HW == k) & (b_HW == k)).sum() / ((a_HW == k).sum() + (b_HW == k).sum()) for k in range(1, 8)
    ]
    return float(np.mean(scores))


def test_annotators_are_close_to_the_truth_but_not_equal() -> None:
    for number, (film, length_px) in enumerate(_complete_films(6)):
        masks = annotate(np.random.default_rng(number), film.truth_HW, film.doubt_HW, 3, length_px)
        for mask_HW in masks:
            assert 0.92 < _dice(mask_HW, film.truth_HW) < 0.995
        assert not np.array_equal(masks[0], masks[2])


def test_a1_draws_generously() -> None:
    areas = []
    for number, (film, length_px) in enumerate(_complete_films(6)):
        masks = annotate(np.random.default_rng(number), film.truth_HW, film.doubt_HW, 3, length_px)
        areas.append([(mask_HW > 0).sum() / (film.truth_HW > 0).sum() for mask_HW in masks])
    a0, a1, a2 = np.mean(areas, axis=0)
    assert a1 > 1.03 > max(a0, a2)


def test_disagreement_sits_in_doubtful_places() -> None:
    shares = []
    for number, (film, length_px) in enumerate(_complete_films(4)):
        masks = np.stack(
            annotate(np.random.default_rng(number), film.truth_HW, film.doubt_HW, 5, length_px)[2:]
        )
        differ = (masks != masks[0]).any(axis=0)
        rim = film.truth_HW != np.roll(film.truth_HW, 1, axis=1)
        shares.append(
            (differ[rim & (film.doubt_HW > 0.5)].mean(), differ[rim & (film.doubt_HW < 0.05)].mean())
        )
    doubtful, clear = np.mean(shares, axis=0)
    assert doubtful > 2 * clear
