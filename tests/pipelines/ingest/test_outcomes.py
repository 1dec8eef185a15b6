from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from pipelines.config import StudyConfig
from pipelines.ingest.outcomes import Outcomes, match_outcomes, parse_rule, read_outcome_sheet
from pipelines.reporting.flow import nearest_exams
from storage.errors import ConfigError, InputError
from storage.identity import Secret

SECRET = Secret.phantom()
SUBJECTS = {name: {SECRET.subject("ward", name)} for name in ("p1", "p2", "p3")}


def matched(path: Path, text: str, study: StudyConfig | None = None) -> Outcomes:
    path.write_text(text, encoding="utf-8")
    study = study or StudyConfig()
    return match_outcomes(read_outcome_sheet(path, study), study, SECRET, SUBJECTS)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.csv"


@pytest.mark.parametrize(
    ("rule", "outcomes"),
    [
        ("<= -2.5", [1, 1, 0]),
        ("< -2.5", [1, 0, 0]),
        (">= -2.5", [0, 1, 1]),
        ("> \u22122,5", [0, 0, 1]),
        ("==1", [0, 0, 0]),
    ],
)
def test_the_rule_decides_ties(rule: str, outcomes: list[int]) -> None:
    assert [parse_rule(rule).outcome(value) for value in (-2.6, -2.5, -2.4)] == outcomes


@pytest.mark.parametrize("rule", ["", "-2.5", "below -2.5", "<= low"])
def test_a_rule_that_is_none(rule: str) -> None:
    sentence = f"study.outcome_rule must be a comparison such as '<= -2.5', but is '{rule}'."
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        parse_rule(rule)


def test_rows_stand_under_the_films_pseudonyms(table: Path) -> None:
    found = matched(
        table,
        "patient_id;T_SCORE;dxa_site;days;age_years;sex;weight_kg\n"
        " P1 ;-2,5;Total Hip;-12;93;female;61,5\n"
        "p2;0.1;;;;;\n",
    )
    [first, second] = found.rows.sort_values("t_score").to_dict("records")
    assert first["subject"] == SECRET.subject("ward", "p1")
    assert (first["outcome"], first["rule"], first["t_score"]) == (1, "<= -2.5", -2.5)
    assert (first["dxa_site"], first["days"], first["sex"]) == ("total_hip", -12, "F")
    assert (first["age_years"], first["weight_kg"]) == (90, 61.5)
    assert (second["outcome"], second["dxa_site"], second["sex"]) == (0, "", "")
    assert found.exclusions == []


def test_of_several_sites_the_lowest_counts(table: Path) -> None:
    found = matched(table, "patient_id,t_score,exam\np1,-1,\np1,-2.8,\np1,-2,\np1,-0.5,second\n")
    assert sorted(found.rows["t_score"]) == [-2.8, -0.5]


def test_measurements_of_other_days_stay_apart(table: Path) -> None:
    """Without an exam column too; the nearest in time can be told, whatever the order of the lines."""
    lines = ["p1,hip,-1,10", "p1,spine,-1.5,10", "p1,hip,-3,2000", "p1,hip,0.5,-900", "p1,hip,-4,"]
    header = "patient_id,dxa_site,t_score,days\n"
    found = matched(table, header + "\n".join(lines))
    assert list(found.rows["t_score"]) == [0.5, -1.5, -3, -4]
    assert nearest_exams(found.rows)["t_score"].to_list() == [-1.5]
    again = matched(table, header + "\n".join(reversed(lines)))
    pd.testing.assert_frame_equal(found.rows, again.rows)


def test_days_of_one_exam_stay_apart(table: Path) -> None:
    found = matched(table, "patient_id,exam,t_score,days\np1,e,-3,400\np1,e,-1,3\np1,f,-2,3\np1,f,-2.5,3\n")
    assert sorted(found.rows["t_score"]) == [-3, -2.5, -1]


def test_other_patients_are_left_out_with_a_reason(table: Path) -> None:
    found = matched(table, "patient_id,t_score\np1,-1\nstranger,-2\np2,none\np3,-25\n")
    assert [(one.reason, one.detail) for one in sorted(found.exclusions, key=lambda one: one.reason)] == [
        ("no_film", "an outcome without a film"),
        ("unreadable", "the outcome is not a plausible number"),
        ("unreadable", "the outcome is not a plausible number"),
    ]
    assert not any("stranger" in one.token for one in found.exclusions)


def test_a_patient_id_of_two_issuers_is_nobody(table: Path) -> None:
    table.write_text("patient_id,t_score\np1,-1\np2,-2\n")
    study = StudyConfig()
    subjects = {"p1": {"one", "other"}, "p2": {"two"}}
    found = match_outcomes(read_outcome_sheet(table, study), study, SECRET, subjects)
    assert list(found.rows["subject"]) == ["two"]
    assert found.exclusions[0].detail == "the patient id has several issuers"


def test_a_column_that_is_not_there(table: Path) -> None:
    sentence = (
        f"outcomes={table} has no column bmd; it has patient_id, t_score. "
        "Rename the column, or name another file."
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        matched(table, "patient_id,t_score\np1,-1\n", StudyConfig(outcome_column="bmd"))


def test_no_patient_with_a_film(table: Path) -> None:
    sentence = (
        f"None of the 2 rows of outcomes={table} belongs to one of the films' subjects. patient_id must be the "
        "PatientID of the DICOM header; of other files, what ingest.subject_from takes from the path."
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        matched(table, "patient_id,t_score\nx1,-1\nx2,-1\n")
