"""Shortcut cohorts: the outcome shows in what the configuration names, and in nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.evaluation.protocols import oracle_check
from pipelines.phantoms.clinic import VENDORS
from pipelines.phantoms.cohort import write_cohort
from pipelines.phantoms.config import SHORTCUTS, PhantomsConfig
from pipelines.phantoms.film import Film, render, subject_of
from pipelines.phantoms.overlays import draw_marker
from pipelines.phantoms.shortcut import is_ill, shortcut_of
from pipelines.phantoms.subject import SubjectGeometry
from storage.errors import ConfigError

NULL = PhantomsConfig(subjects=40, unlabelled=0, height=128, width=100, effect="null", seed=5)


def gray(subject: SubjectGeometry, film: Film) -> float:
    levels = film.pixels / (2**film.bits - 1)
    return float(np.median((1 - levels if film.photometric == "MONOCHROME1" else levels)[film.truth_HW > 0]))


READ = {
    "exposure": gray,
    "vendor": lambda subject, film: [vendor.name for vendor in VENDORS].index(film.vendor) // 2,
    "size": lambda subject, film: subject.metacarpal3_mm,
    "side": lambda subject, film: film.laterality == "R",
}


@cache
def cohort(kind: str) -> list[tuple[SubjectGeometry, Film, bool]]:
    """Every subject, a film, and the sign."""
    config = replace(NULL, shortcut=kind)
    subjects = [subject_of(config, number) for number in range(NULL.subjects)]
    return [(one, render(one, 0, config), shortcut_of(one, config).sign) for one in subjects]


def told_by(shown: str, kind: str, wanted: str = "outcome") -> float:
    """AUC of what the films of a cohort show."""
    truth = [is_ill(subject) if wanted == "outcome" else sign for subject, _, sign in cohort(kind)]
    return float(roc_auc_score(truth, [-READ[shown](subject, film) for subject, film, _ in cohort(kind)]))


@pytest.mark.parametrize("kind", READ)
def test_the_outcome_shows_in_what_was_asked_for(kind: str) -> None:
    assert told_by(kind, kind, "sign") > 0.85  # hands differ in size, films in exposure, beside it
    assert told_by(kind, kind) > 0.75
    assert abs(told_by(kind, "none") - 0.5) < 0.2
    assert all(abs(told_by(other, kind) - 0.5) < 0.25 for other in READ if other != kind)


def test_a_marker_bears_a_ball_or_none() -> None:
    blank = np.zeros((320, 250), np.float32)
    with_ball, without = (
        np.mean(
            [
                draw_marker(np.random.default_rng(n), blank, "L", (120, 160), 1.0, ball).sum()
                for n in range(40)
            ]
        )
        for ball in (True, False)
    )
    assert with_ball > without + 50  # a ball's area in pixels, at least


def test_nine_of_ten_agree_and_bones_stay_as_they_were() -> None:
    for kind in SHORTCUTS[1:]:
        config = replace(NULL, subjects=400, shortcut=kind)
        subjects = [subject_of(config, number) for number in range(400)]
        agree = np.mean([shortcut_of(subject, config).sign == is_ill(subject) for subject in subjects])
        assert 0.86 < agree < 0.94
        plain = [subject_of(NULL, number) for number in range(400)]
        assert [one.health.t_score for one in subjects] == [one.health.t_score for one in plain]


def test_the_oracle_names_the_shortcut_and_the_report_says_who_reads_it(tmp_path: Path) -> None:
    write_cohort(tmp_path, replace(NULL, subjects=24, shortcut="side", annotators=0))
    oracle = json.loads((tmp_path / "oracle.json").read_text())
    assert oracle["shortcut"] == "side" and oracle["shortcut_auc"] > oracle["auc"]
    read = oracle_check(0.99, oracle | {"high": 0.7})
    assert read["alarm"] and "it reads the planted shortcut, side, which alone reaches" in read["sentence"]
    resisted = oracle_check(0.5, oracle | {"high": 0.7})
    assert not resisted["alarm"] and "the planted shortcut is side" in resisted["sentence"]


def test_a_shortcut_needs_adults_on_a_hospitals_films() -> None:
    with pytest.raises(ConfigError, match="population=adult"):
        PhantomsConfig(population="child", shortcut="side")
    with pytest.raises(ConfigError, match="appearance=clinic"):
        PhantomsConfig(appearance="random", shortcut="side")
