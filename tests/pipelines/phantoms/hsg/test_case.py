"""Exams by the stated shares; what a tube can show follows from its state."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipelines.phantoms.hsg.case import SHARES, draw_exam
from pipelines.phantoms.hsg.filling import filling


def exams(effect: str, count: int) -> list:
    return [draw_exam(np.random.default_rng([3, number, 1]), effect) for number in range(count)]


@pytest.mark.parametrize("effect", ["paper", "demo"])
def test_kinds_come_in_their_shares(effect: str) -> None:
    drawn = exams(effect, 3000)
    counts = Counter(exam.kind for exam in drawn)
    total = sum(SHARES[effect].values())
    for kind, share in SHARES[effect].items():
        assert abs(counts[kind] / 3000 - share / total) < 0.025
    known = [exam.occluded for exam in drawn if exam.occluded is not None]
    assert 0.2 < np.mean(known) < 0.3  # the paper: a quarter


def test_the_kind_says_what_the_tubes_are() -> None:
    for exam in exams("paper", 600):
        blocked = sum(tube.state in ("proximal", "distal") for tube in exam.tubes)
        assert exam.occluded == (1 if blocked else None if exam.kind == "unseen" else 0)
        assert (blocked > 0) == (
            exam.kind in ("crossing", "unilateral", "hydrosalpinx", "loculated", "bilateral")
        )
        assert blocked == 2 if exam.kind == "bilateral" else blocked < 2 or exam.kind == "hydrosalpinx"


def test_contrast_advances_and_only_open_tubes_spill() -> None:
    for exam in exams("paper", 200):
        states = [filling(exam, time) for time in (-0.1, 0.2, 0.5, 0.8, 1.1)]
        assert states[0].cavity == 0 and states[0].front == (0, 0)
        for side, tube in enumerate(exam.tubes):
            fronts = [now.front[side] for now in states]
            assert fronts == sorted(fronts)
            if tube.state == "proximal":
                assert fronts[-1] <= 0.3
            if tube.state in ("proximal", "distal") and not tube.pocket:
                assert states[-1].spilt[side] == 0


def test_a_crossing_spill_lies_on_the_blocked_side() -> None:
    late = [
        filling(exam, 1.0).near[blocked]
        for exam in exams("paper", 1500)
        if exam.kind == "crossing"
        for blocked in (0, 1)
        if exam.tubes[blocked].state != "patent"
    ]
    assert len(late) > 50 and np.mean(np.array(late) > 0.15) > 0.7
