"""Growing hands: parts appear, plates close, in order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pipelines.phantoms.growth import CARPALS, EPIPHYSES, carpal_size, epiphysis, metacarpal3_mm
from pipelines.phantoms.plates import metaphyseal_plate, plate_tables
from pipelines.phantoms.profiles import STATIONS, T_K


@pytest.mark.parametrize("part", EPIPHYSES)
def test_an_epiphysis_appears_grows_and_fuses(part: str) -> None:
    onset, fusion = EPIPHYSES[part]
    states = [epiphysis(part, age) for age in np.linspace(0, 20, 41)]
    assert epiphysis(part, onset - 0.1).size == 0
    assert epiphysis(part, fusion).gap == 0
    assert all(a.size <= b.size and a.gap >= b.gap for a, b in pairwise(states))


def test_carpals_ossify_in_the_textbooks_order() -> None:
    order = sorted(CARPALS, key=lambda name: CARPALS[name][0])
    assert order[:4] == ["capitate", "hamate", "triquetrum", "lunate"]
    assert order[-1] == "pisiform"
    assert carpal_size("pisiform", 5) == 0
    assert carpal_size("capitate", 25) == 1


def test_metacarpals_grow_to_their_adult_length() -> None:
    assert metacarpal3_mm(2) == pytest.approx(29, abs=1)
    assert metacarpal3_mm(10) == pytest.approx(50, abs=1.5)
    assert metacarpal3_mm(17) == metacarpal3_mm(60) == pytest.approx(65.5)


def test_before_ossification_nothing_lies_beyond_the_plate() -> None:
    plate = metaphyseal_plate(np.random.default_rng(0), epiphysis("metacarpal", 0.5), 0.85, 1, 25.0)
    assert plate is not None
    shape_K, solid_K = plate_tables(plate)
    assert shape_K[T_K > 0.86].max() == 0
    assert shape_K[: STATIONS // 2].min() == pytest.approx(1)
    assert solid_K.min() == 1


def test_an_open_plate_is_a_gap_in_the_mineral_not_in_the_outline() -> None:
    plate = metaphyseal_plate(np.random.default_rng(0), epiphysis("metacarpal", 8), 0.85, 1, 45.0)
    assert plate is not None
    shape_K, solid_K = plate_tables(plate)
    gap = np.abs(T_K - 0.85) < 0.5 * plate.half_gap
    assert solid_K[gap].max() < 0.6
    assert shape_K[gap].min() > 0.5


def test_a_fused_bone_has_no_plate() -> None:
    assert metaphyseal_plate(np.random.default_rng(0), epiphysis("radius", 25), 0.9, 1, 200.0) is None
