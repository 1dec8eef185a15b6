"""Which films of an exam are read, and that contrast is bright on all of them."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from pipelines.classification.exams import choose_films, detail, upright
from pipelines.phantoms.hsg.case import draw_exam
from pipelines.phantoms.hsg.film import Moment, Scene


def exam(name: str, spots: int, loop: int = 0) -> pd.DataFrame:
    """Spot films s0, s1, ... by time, and the frames of a loop in between."""
    keys = [f"{name}-s{n}" for n in range(spots)]
    tokens = list(keys)
    at = spots // 3
    keys[at:at] = [f"{name}-l{n}" for n in range(loop)]
    tokens[at:at] = [f"{name}-l"] * loop
    return pd.DataFrame(
        {"key": keys, "subject": "w", "exam": name, "order": range(len(keys)), "token": tokens}
    )


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("mid2", ["a-s2", "a-s3", "b-s1", "b-s2", "c-l3", "c-l4"]),
        ("first", ["a-s0", "b-s0", "c-l0"]),
        ("last_full", ["a-s4", "b-s1", "c-l7"]),
    ],
)
def test_rules_choose_by_exam(rule: str, kept: list[str]) -> None:
    """a: six spots and a loop, which stands back; b: four spots; c: a loop alone."""
    rows = pd.concat([exam("a", 6, 8), exam("b", 4), exam("c", 0, 8)], ignore_index=True)
    filled = dict.fromkeys(rows["key"], 0.1) | {"a-s3": 1.0, "a-s4": 0.95, "b-s1": 1.0, "c-l7": 1.0}
    assert choose_films(rows, rule, filled)["key"].tolist() == kept


def test_all_takes_every_frame() -> None:
    rows = pd.concat([exam("a", 6, 8), exam("b", 4)], ignore_index=True)
    pd.testing.assert_frame_equal(choose_films(rows, "all", {}), rows)


def squares(count: int, dark: bool) -> np.ndarray:
    """Films of different exams, 96 pixels, contrast bright or dark."""
    found = []
    for number in range(count):
        exam = draw_exam(np.random.default_rng([2, number, 1]), "paper")
        scene = Scene(exam, (2, number, 1), 96)
        film = scene.film(3, Moment(time=0.5, loop=False, oblique=0.0, name="x"))
        gray = film.pixels.astype(np.float32) / (2**scene.room.bits - 1)
        bright = 1 - gray if scene.room.monochrome1 != scene.room.dark else gray
        found.append(np.round(255 * (1 - bright if dark else bright)).astype(np.uint8))
    return np.stack(found)


def test_contrast_is_bright_afterwards() -> None:
    bright, dark = squares(24, dark=False), squares(24, dark=True)
    right = (upright(dark) == bright).mean(axis=(1, 2)) > 0.9
    assert right.mean() > 0.95
    np.testing.assert_array_equal(upright(bright)[right], bright[right])


def test_detail_grows_with_contrast() -> None:
    empty = np.full((96, 96), 90, np.uint8)
    filled = empty.copy()
    cv2.line(filled, (20, 40), (76, 50), 255, 2)
    assert detail(empty) < detail(filled)
