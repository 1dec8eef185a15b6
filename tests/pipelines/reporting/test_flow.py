"""From files to evaluable subjects: what is counted, and what stands beside."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pandas as pd

from pipelines.config import StudyConfig
from pipelines.reporting.collect import collect
from pipelines.reporting.flow import REASONS, flow
from storage.schemas import EXCLUSION_REASONS


def test_masks_and_outcomes_are_no_films_whatever_their_reason(cohorts: ModuleType, tmp_path: Path) -> None:
    store = cohorts.make_store(tmp_path / "store", subjects=6, with_outcome=0)
    beside = [
        ("T2", 0, "unreadable", "the outcome is not a plausible number", "outcomes"),
        ("T3", 0, "no_film", "an outcome without a film", "outcomes"),
        ("T4", 0, "not_an_image", "a mask must be a PNG file", "annotations"),
        ("T5", 0, "duplicate", "a second mask of the same film and annotator", "annotations"),
    ]
    films = store.exclusions
    outcomes, masks = (pd.DataFrame(rows, columns=list(films.columns)) for rows in (beside[:2], beside[2:]))
    store.commit(store.manifest, store.annotations, pd.concat([films, masks]))
    store.write_outcomes(store.outcomes, outcomes)
    counted = flow(collect(tmp_path / "store", tmp_path / "out", StudyConfig(), None, "adult"))
    assert (counted["files"], counted["films"], counted["excluded"]) == (6 + len(films), 6, len(films))
    assert {row["reason"]: row["count"] for row in counted["beside"]} == {
        "unreadable": 1,
        "no_film": 1,
        "not_an_image": 1,
        "duplicate": 1,
    }


def test_subjects_on_the_limit_are_counted(cohorts: ModuleType, tmp_path: Path) -> None:
    store = cohorts.make_store(tmp_path / "store", subjects=6, with_outcome=5)
    store.write_outcomes(store.outcomes.assign(t_score=[-2.5, -2.4, -2.5, -2.6, 0.0]))
    counted = flow(collect(tmp_path / "store", tmp_path / "out", StudyConfig(), None, "adult"))
    assert (counted["with_outcome"], counted["on_limit"]) == (5, 2)


def test_every_reason_has_a_meaning() -> None:
    assert set(REASONS) == set(EXCLUSION_REASONS)
