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
