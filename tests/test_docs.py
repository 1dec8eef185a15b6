"""The documents name what the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage import schemas

DOCS = Path(__file__).parents[1] / "docs"
EXPLAINED = (
    *("REGIONS", "SUBJECTS", "EXAMS", "FILM_INDEX", "FOLDS", "INNER", "SCORES", "EVALUABLE", "EMBEDDINGS"),
    *("MANIFEST", "ANNOTATIONS", "EXCLUSIONS", "OUTCOMES"),
)


@pytest.mark.parametrize("name", EXPLAINED)
def test_every_column_is_explained(name: str) -> None:
    text = (DOCS / "tables.md").read_text("utf-8")
    assert [column for column in getattr(schemas, name).names if f"`{column}`" not in text] == []


def test_every_reason_is_explained() -> None:
    text = (DOCS / "tables.md").read_text("utf-8")
    assert [reason for reason in schemas.EXCLUSION_REASONS if f"| `{reason}` |" not in text] == []
