"""The documents name what the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.registry import JOBS
from jobs.trials import sweep_of
from storage import schemas

DOCS = Path(__file__).parents[1] / "docs"
EXPLAINED = (
    *("REGIONS", "SUBJECTS", "EXAMS", "FILM_INDEX", "FOLDS", "INNER", "SCORES", "EVALUABLE", "EMBEDDINGS"),
    *("SWEEP", "REGION_INDEX"),
    *("MANIFEST", "ANNOTATIONS", "EXCLUSIONS", "OUTCOMES"),
)


@pytest.mark.parametrize("name", EXPLAINED)
def test_every_column_is_explained(name: str) -> None:
    text = (DOCS / "tables.md").read_text("utf-8")
    assert [column for column in getattr(schemas, name).names if f"`{column}`" not in text] == []


def test_every_reason_is_explained() -> None:
    text = (DOCS / "tables.md").read_text("utf-8")
    assert [reason for reason in schemas.EXCLUSION_REASONS if f"| `{reason}` |" not in text] == []


def test_the_sweep_that_is_shown_is_one(tmp_path: Path) -> None:
    shown = (DOCS / "sweeps.md").read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "mine.yaml").write_text(shown)
    sweep = sweep_of(str(tmp_path / "mine.yaml"), JOBS["sweep"].sections)
    assert {trial.name for trial in sweep.trials} == {"simclr", "none", "imagenet"} and len(sweep.trials) == 6
