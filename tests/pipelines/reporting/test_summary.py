"""The numbers of the page tell of the store as it is, not of the configuration of the day."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from pipelines.config import StudyConfig
from pipelines.evaluation.config import EvaluationConfig
from pipelines.reporting.collect import collect
from pipelines.reporting.summary import summarise


def test_the_rule_is_the_one_that_made_the_outcomes(cohorts: ModuleType, tmp_path: Path) -> None:
    store = cohorts.make_store(tmp_path / "store", subjects=4, with_outcome=3)
    inputs = collect(store.root, tmp_path / "out", StudyConfig(outcome_rule="<= -1"), None, "adult")
    assert summarise(inputs, EvaluationConfig())["study"]["rule"] == "t_score <= -2.5"
    store.write_outcomes(store.outcomes.iloc[:0])
    bare = replace(inputs, store=store)
    assert summarise(bare, EvaluationConfig())["study"]["rule"] == "t_score <= -1"


def test_people_without_an_outcome_are_among_the_subjects(cohorts: ModuleType, tmp_path: Path) -> None:
    store = cohorts.make_store(tmp_path / "store", subjects=6, with_outcome=6)
    cohorts.write_predictions(tmp_path / "out" / "predict", store, repeats=1, folds=1)
    inputs = collect(store.root, tmp_path / "out", StudyConfig(), None, "adult")
    new = [table.assign(split="new") for table in (inputs.subjects, inputs.regions)]
    shown = summarise(replace(inputs, subjects=new[0], regions=new[1]), EvaluationConfig())["subjects"]
    read = inputs.subjects[inputs.subjects["probability"].notna()]
    assert {row["subject"] for row in shown["rows"]} == set(read["subject"]) and shown["total"] >= 4
    assert all(any(value is not None for value in row["regions"]) for row in shown["rows"])
