"""Films of one exam: the same bytes for the same arguments, contrast where and when the exam has it."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.phantoms.hsg.case import draw_exam
from pipelines.phantoms.hsg.film import Moment, Scene

SIDE = 96


def scene(kind: str) -> Scene:
    """The first drawn exam of a kind."""
    exam = next(
        e for n in range(2000) if (e := draw_exam(np.random.default_rng([8, n, 1]), "paper")).kind == kind
    )
    return Scene(exam, (8, 1, 1), SIDE)


def moment(time: float) -> Moment:
    return Moment(time=time, loop=False, oblique=0.0, name="x")


@pytest.fixture(scope="module")
def plain() -> Scene:
    return scene("plain")


def test_a_film_is_reproducible(plain: Scene) -> None:
    again = scene("plain")
    for number, time in enumerate((0.0, 0.5)):
        first, second = plain.film(number, moment(time)), again.film(number, moment(time))
        np.testing.assert_array_equal(first.pixels, second.pixels)
        np.testing.assert_array_equal(first.truth_HW, second.truth_HW)
    assert (plain.film(0, moment(0.5)).pixels != plain.film(1, moment(0.5)).pixels).any()


def test_the_scout_is_empty_and_contrast_spreads(plain: Scene) -> None:
    areas = [
        plain.film(number, moment(time)).contrast_mm2 for number, time in enumerate((0.0, 0.1, 0.4, 0.9))
    ]
    assert areas[0] == 0 and areas == sorted(areas) and areas[-1] > 500


def test_truth_marks_both_tubes_each_on_its_side(plain: Scene) -> None:
    """The patient's right lies on the image's left."""
    truth = plain.film(0, moment(0.4)).truth_HW
    assert {1, 2} <= set(np.unique(truth)) <= {0, 1, 2, 3, 4}
    right, left = (np.flatnonzero((truth == label).any(axis=0)).mean() for label in (1, 2))
    assert right < left


def test_a_dilated_tube_shows_more_than_an_open_one() -> None:
    hydro = scene("hydrosalpinx")
    side = 0 if hydro.exam.right.dilated else 1
    now = hydro.film(0, moment(0.9))
    assert now.now.spilt[side] == 0 and hydro.uterus.tubes[side].radius_N.max() > 5


def test_loops_are_noisier_than_spots(plain: Scene) -> None:
    def noise(loop: bool) -> float:
        film = plain.film(3, Moment(time=0.4, loop=loop, oblique=0.0, name="x"))
        values = film.pixels.astype(float)[30:60, 30:60] / 2**plain.room.bits
        return float(np.abs(np.diff(values, axis=1)).mean())

    assert noise(True) > 1.3 * noise(False)
