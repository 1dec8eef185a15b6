from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config import StudyConfig
from pipelines.outcomes.sheet import read_mapping, read_outcome_sheet
from storage.errors import InputError


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    return tmp_path / "ids.csv"


def test_ids_of_the_table_become_the_films_and_others_stay(tmp_path: Path, mapping: Path) -> None:
    mapping.write_text("film_id,sheet_id,note\nABC,17,\nABC, 18 ,the same person\n")
    outcomes = tmp_path / "outcomes.csv"
    outcomes.write_text("patient_id,t_score\n17,-1\n")
    sheet = read_outcome_sheet(outcomes, StudyConfig(), mapping)
    assert [sheet.film_id(patient) for patient in ("17", " 18", "19", "Abc", "")] == [
        *("abc", "abc", "19", "abc", "")
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "sheet_id,films\n1,2\n",
            "FILE has no column film_id; it has sheet_id, films. Rename the column, or name another file.",
        ),
        ("sheet_id,film_id\n1,2\n3,\n", "Line 3 of FILE must hold a sheet_id and a film_id."),
        ("sheet_id,film_id\na,2\nA,3\n", "Line 3 of FILE gives one sheet_id a second film_id; keep one."),
    ],
)
def test_a_mapping_that_is_none(mapping: Path, text: str, sentence: str) -> None:
    mapping.write_text(text)
    with pytest.raises(InputError) as caught:
        read_mapping(mapping)
    assert str(caught.value).replace(f"mapping={mapping}", "FILE") == sentence


def test_the_same_line_twice_is_no_contradiction(mapping: Path) -> None:
    mapping.write_text("sheet_id,film_id\na,2\nA,2\n")
    assert read_mapping(mapping) == {"a": "2"}
