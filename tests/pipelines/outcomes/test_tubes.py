"""Exams told by two tubes: every row in one bin, one outcome per exam, nothing decided by what was not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config import StudyConfig
from pipelines.outcomes.match import Outcomes, match_outcomes
from pipelines.outcomes.sheet import read_outcome_sheet
from pipelines.outcomes.tubes import tube_outcome
from storage import schemas
from storage.errors import ConfigError, InputError
from storage.identity import Secret
from storage.tables import conform

SECRET = Secret.phantom()
SUBJECTS = {name: {SECRET.subject("", name)} for name in ("p1", "p2", "p3")}
FILM_DAYS = {SECRET.subject("", name): ["20200301"] for name in ("p1", "p2")}


def study(rule: str = "any_tube") -> StudyConfig:
    return StudyConfig(
        name="hsg", regions=["whole"], unit="exam", outcome_column="occlusion", outcome_rule=rule
    )


def matched(path: Path, text: str, rule: str = "any_tube") -> Outcomes:
    path.write_text(text)
    found = match_outcomes(read_outcome_sheet(path, study(rule)), study(rule), SECRET, SUBJECTS, FILM_DAYS)
    conform(found.rows, schemas.OUTCOMES, "outcomes")
    assert sum(found.bins.values()) == len(found.placed) == text.count("\n") - 1
    return found


@pytest.mark.parametrize(
    ("right", "left", "any_tube", "both_tubes"),
    [
        ("patent", "patent", 0, 0),
        ("patent", "proximal", 1, 0),
        ("distal", "patent", 1, 0),
        ("distal", "proximal", 1, 1),
        ("distal", "not_seen", 1, None),
        ("patent", "not_seen", None, 0),
        ("not_seen", "not_seen", None, None),
    ],
)
def test_rules(right: str, left: str, any_tube: int | None, both_tubes: int | None) -> None:
    for one, other in ((right, left), (left, right)):
        assert tube_outcome("any_tube", one, other, None) == any_tube
        assert tube_outcome("both_tubes", one, other, None) == both_tubes
        assert tube_outcome("given", one, other, 1) == 1


def test_every_exam_has_a_row_of_its_own(tmp_path: Path) -> None:
    found = matched(
        tmp_path / "sheet.csv",
        "patient_id,exam,right,left,age_years\n"
        "p1,e1,patent,patent,31\np1,e2,Distal,patent,32\np2,,PROXIMAL,not seen,\n",
    )
    rows = found.rows.set_index(["subject", "exam"])
    woman = SECRET.subject("", "p1")
    assert rows.loc[(woman, SECRET.exam(woman, "e1")), "outcome"] == 0
    second = rows.loc[(woman, SECRET.exam(woman, "e2"))]
    assert (second["outcome"], second["right"], second["left"], second["age_years"]) == (
        1,
        "distal",
        "patent",
        32,
    )
    other = rows.loc[(SECRET.subject("", "p2"), "")]
    assert (other["outcome"], other["left"], other["rule"]) == (1, "not_seen", "any_tube")


def test_rows_that_tell_nothing_are_told_why(tmp_path: Path) -> None:
    found = matched(
        tmp_path / "sheet.csv",
        "patient_id,exam,right,left\np1,e1,patent,open\np1,e2,patent,not_seen\np3,e1,patent,patent\n"
        "p2,e1,patent,patent\np2,e1,distal,patent\n",
    )
    assert found.bins == {"unreadable": 1, "undecided": 1, "no_film": 1, "used": 1, "merged": 1}
    assert found.rows["outcome"].tolist() == [1]  # of two readings of one exam the positive one
    assert set(found.exclusions["reason"]) <= set(schemas.EXCLUSION_REASONS)
    [told] = [row.detail for row in found.placed if row.bin == "unreadable"]
    assert told == "right and left must be one of patent, proximal, distal, not_seen"


def test_given_outcomes_need_no_tubes(tmp_path: Path) -> None:
    found = matched(
        tmp_path / "sheet.csv", "patient_id,exam,occlusion\np1,a,yes\np1,b,0\np2,c,maybe\n", "given"
    )
    assert sorted(found.rows["outcome"]) == [0, 1]
    assert found.bins == {"used": 2, "undecided": 1}


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("patient_id,exam,occlusion\np1,a,1\n")
    with pytest.raises(InputError, match="has no column right"):
        read_outcome_sheet(tmp_path / "sheet.csv", study())
    read_outcome_sheet(tmp_path / "sheet.csv", study("given"))


def test_a_comparison_is_no_rule_of_exams(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("patient_id,occlusion\np1,1\n")
    with pytest.raises(ConfigError, match=r"must be any_tube, both_tubes or given .* but is '>= 1'"):
        read_outcome_sheet(tmp_path / "sheet.csv", study(">= 1"))


def test_a_tube_of_which_nothing_is_said_stays_empty(tmp_path: Path) -> None:
    found = matched(tmp_path / "given.csv", "patient_id,exam,occlusion\np1,e1,1\n", "given")
    assert found.rows[["outcome", "right", "left"]].to_numpy().tolist() == [[1, "", ""]]
    found = matched(tmp_path / "tubes.csv", "patient_id,exam,right,left\np1,e1,distal,\np2,e2,patent,\n")
    assert found.rows[["outcome", "right", "left"]].to_numpy().tolist() == [[1, "distal", ""]]
