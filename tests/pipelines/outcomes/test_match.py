from __future__ import annotations

import math
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipelines.config import StudyConfig
from pipelines.outcomes.match import SEVERAL, Outcomes, check_any_match, match_outcomes
from pipelines.outcomes.sheet import read_outcome_sheet
from storage import schemas
from storage.errors import ConfigError, InputError
from storage.identity import Secret
from storage.tables import conform

SECRET = Secret.phantom()
SUBJECTS = {name: {SECRET.subject("ward", name)} for name in ("p1", "p2", "p3")}
FILM_DAYS = {SECRET.subject("ward", name): ["20200301"] for name in ("p1", "p2", "p3")}
STUDY = StudyConfig()


def matched(path: Path, text: str, study: StudyConfig = STUDY, mapping: Path | None = None) -> Outcomes:
    path.write_text(text, encoding="utf-8")
    found = match_outcomes(read_outcome_sheet(path, study, mapping), study, SECRET, SUBJECTS, FILM_DAYS)
    conform(found.rows, schemas.OUTCOMES, "outcomes")
    assert sum(found.bins.values()) == len(found.placed)
    return found


def reasons(found: Outcomes) -> dict[int, tuple[str, str]]:
    return {row.line: (row.bin, row.detail) for row in found.placed if row.detail}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.csv"


def test_rows_stand_under_the_films_pseudonyms(table: Path) -> None:
    found = matched(
        table,
        "patient_id;T_SCORE;dxa_site;days;age_years;sex;weight_kg;height_cm;treatment\n"
        " P1 ;-2,5;Total Hip;-12;93;female;61,5;160;no\n"
        "p2;0.1;;;;;;;\n",
    )
    [first, second] = found.rows.sort_values("t_score").to_dict("records")
    assert first["subject"] == SECRET.subject("ward", "p1")
    assert (first["outcome"], first["rule"], first["t_score"]) == (1, "<= -2.5", -2.5)
    assert (first["dxa_site"], first["days"], first["sex"]) == ("total_hip", -12, "F")
    assert (first["age_years"], first["weight_kg"], first["height_cm"]) == (90, 61.5, 160)
    assert (first["bmi"], first["treatment"]) == (pytest.approx(61.5 / 1.6**2), False)
    assert (second["outcome"], second["dxa_site"], second["sex"], second["treatment"]) == (0, "", "", None)
    assert pd.isna([second["days"], second["bmi"]]).all()
    assert found.exclusions.empty
    assert found.unread == []


def test_of_several_sites_of_a_day_the_lowest_counts(table: Path) -> None:
    found = matched(table, "patient_id,t_score,dxa_site\np1,-1,a\np1,-2.8,b\np1,-2,c\np2,-0.5,a\n")
    assert sorted(found.rows["t_score"]) == [-2.8, -0.5]
    assert found.bins == {"used": 2, "merged": 2}


def test_covariates_of_another_row_of_the_day_are_not_lost(table: Path) -> None:
    header = "patient_id,t_score,dxa_site,days,age_years,sex,weight_kg\n"
    lines = ["p1,-2,hip,0,71,F,60", "p1,-2.8,spine,0,,,", "p1,-1,wrist,0,,,62", "p1,-1,hip,900,80,M,70"]
    [row] = matched(table, header + "\n".join(lines)).rows.to_dict("records")
    assert (row["t_score"], row["age_years"], row["sex"]) == (-2.8, 71, "F")
    assert math.isnan(row["weight_kg"]), "two rows disagree"
    header = "patient_id,t_score,days,weight_kg,height_cm\n"
    [row] = matched(table, header + "p1,-2.8,0,60,\np1,-2,0,75,170\n").rows.to_dict("records")
    assert row["bmi"] == pytest.approx(60 / 1.7**2), "of the weight that stands beside it"


def test_of_several_days_the_nearest_to_the_film_counts_whatever_the_order(table: Path) -> None:
    lines = ["p1,hip,-1,10", "p1,spine,-1.5,10", "p1,hip,-3,2000", "p1,hip,0.5,-900", "p1,hip,-4,"]
    header = "patient_id,dxa_site,t_score,days\n"
    found = matched(table, header + "\n".join(lines))
    assert found.rows[["t_score", "days"]].to_numpy().tolist() == [[-1.5, 10]]
    assert found.bins == {"used": 1, "merged": 1, "superseded": 3}
    again = matched(table, header + "\n".join(reversed(lines)))
    pd.testing.assert_frame_equal(found.rows, again.rows)
    pd.testing.assert_frame_equal(found.exclusions, again.exclusions)


def test_without_days_the_lowest_of_all_exams_counts(table: Path) -> None:
    found = matched(table, "patient_id,exam,t_score\np1,e,-2\np1,f,-3\np1,f,-1\n")
    assert list(found.rows["t_score"]) == [-3]
    assert found.bins == {"used": 1, "merged": 1, "superseded": 1}


def test_days_are_counted_from_the_nearest_film(table: Path) -> None:
    subject = SECRET.subject("ward", "p1")
    table.write_text("patient_id,t_score,date\np1,-1,2020-03-31\np1,-2,43890\np1,-3,1.1.2025\n")
    sheet = read_outcome_sheet(table, STUDY)
    for film_days, days, t_score in (
        (["20200301"], -1, -2),
        (["20200331", ""], 0, -1),
        (
            ["20200301", "20241231"],
            -1,
            -2,
        ),  # the tie of two films is decided by the lower value: -1 day, or +1
        (["20241230", "20200401"], -1, -1),
    ):
        found = match_outcomes(sheet, STUDY, SECRET, SUBJECTS, {subject: film_days})
        kept = found.rows[["days", "t_score"]].to_numpy().tolist()
        assert kept == ([[1, -3]] if film_days[-1] == "20241231" else [[days, t_score]])
        assert found.bins == {"used": 1, "superseded": 2}


@pytest.mark.parametrize(("window_days", "used"), [(None, 3), (400, 2), (12, 2), (11, 1), (0, 0)])
def test_the_window_bounds_the_days(table: Path, window_days: int | None, used: int) -> None:
    text = "patient_id,t_score,days\np1,-1,-12\np1,-2,500\np2,-1,11\np3,-1,\n"
    found = matched(table, text, StudyConfig(window_days=window_days))
    assert len(found.rows) == used
    assert found.bins.get("superseded", 0) == (window_days is None)
    if window_days is not None:
        assert reasons(found)[3] == ("outside_window", "too far from the film")
        assert reasons(found)[5] == ("outside_window", "the days to the film are not known")


def test_a_window_is_no_negative_number() -> None:
    with pytest.raises(ConfigError, match=r"^study\.window_days must be at least 0, but is -1\.$"):
        StudyConfig(window_days=-1)


def test_other_rows_are_left_out_with_a_reason(table: Path) -> None:
    found = matched(
        table,
        "patient_id,t_score,z_score\np1,-1,-2\nstranger,-2,\np2,none,\np3,-25,\np2,,-2.1\n1.23457E+11,-1,\n"
        ",-1,\np3,-2,5,x\np3,,\n",
    )
    assert reasons(found) == {
        3: ("no_film", "an outcome without a film"),
        4: ("unreadable", "the outcome is not a plausible number"),
        5: ("unreadable", "the outcome is not a plausible number"),
        6: ("z_score", "a Z-score alone"),
        7: ("no_film", "an outcome without a film; a spreadsheet changed the patient id"),
        8: ("unreadable", "a row without a patient id"),
        9: ("unreadable", "more cells than columns: a decimal comma between commas"),
        10: ("unreadable", "the outcome is not a plausible number"),
    }
    assert not found.exclusions.duplicated(["token", "frame"]).any()
    assert (
        not found.exclusions.astype(str).apply(lambda column: column.str.contains("stranger")).any(axis=None)
    )


def test_a_patient_id_of_two_issuers_is_nobody(table: Path) -> None:
    table.write_text("patient_id,t_score\np1,-1\np2,-2\n")
    subjects = {"p1": {"one", "other"}, "p2": {"two"}}
    sheet = read_outcome_sheet(table, STUDY)
    found = match_outcomes(sheet, STUDY, SECRET, subjects, {name: [""] for name in ("one", "other", "two")})
    assert list(found.rows["subject"]) == ["two"]
    assert reasons(found) == {2: ("no_film", SEVERAL)}


def test_who_has_no_film_left_has_no_outcome(table: Path) -> None:
    table.write_text("patient_id,t_score\np1,-1\np2,-2\n")
    left = {SECRET.subject("ward", "p2"): ["20200301"]}
    found = match_outcomes(read_outcome_sheet(table, STUDY), STUDY, SECRET, SUBJECTS, left)
    assert list(found.rows["t_score"]) == [-2]
    assert reasons(found) == {2: ("no_film", "an outcome whose films were all left out")}


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
        "PatientID of the DICOM header; of other files, what ingest.subject_from takes from the path. "
        "radmill outcomes match raw=DIR outcomes=FILE shows what nearly matches; mapping=FILE tells it other ids."
    )
    table.write_text("patient_id,t_score\nx1,-1\nx2,-1\n")
    sheet = read_outcome_sheet(table, STUDY)
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        check_any_match(sheet, SUBJECTS)
    check_any_match(replace(sheet, film_ids={"x1": "p1"}), SUBJECTS)


def test_covariates_that_can_not_be_read_are_unknown_and_named(table: Path) -> None:
    found = matched(
        table,
        "patient_id,t_score,sex,weight_kg,height_cm,bmi,treatment,date,days,age_years\n"
        "p1,-1,F,6150,1.62,24,yes,2020-01-01,3,60\np2,-1,x,,,,maybe,03/04/2020,soon,old\n",
    )
    assert found.unread == [
        *((2, name) for name in ("weight_kg", "height_cm")),
        *((3, name) for name in ("days", "date", "sex", "treatment", "age_years")),
    ]
    [first, second] = (
        found.rows.set_index("subject").loc[[SECRET.subject("ward", name) for name in ("p1", "p2")]]
    ).to_dict("records")
    assert (first["bmi"], first["treatment"], first["age_years"]) == (24, True, 60)
    assert pd.isna([first["weight_kg"], second["bmi"], second["age_years"], second["days"]]).all()


def test_every_row_of_a_messy_table_is_in_one_bin(tmp_path: Path) -> None:
    """1,000 rows with every kind of trouble: the bins sum, and the order of lines does not matter."""
    patients = [f"{number:05d}" for number in range(200)]
    subjects = {patient: {SECRET.subject("", patient)} for patient in patients}
    subjects["00007"] = {"one", "other"}
    film_days = {name: ["20200301"] for names in subjects.values() for name in names}
    kinds = ["{p};-1,5;spine;{d};;", "{p};\u22122.5;hip;{d};;", "{p};-2,5;hip;;12;", "{p};;;{d};;-3"]
    kinds += ["{s};-1;;;;", "{p}.0;-1;;;;", "1.23457E+11;-1;;;;", "{p};n/a;;;;", "{p};-25;;;;", ";-1;;;;"]
    kinds += ["{p};-1;;;;;extra", "{p};0,3;hip;03/04/2020;;", "{p};1;hip;1.1.1999;;", "{p};-3,1;hip;43890;;"]
    chance = random.Random(5)
    lines = [
        chance.choice(kinds).format(
            p=(p := chance.choice(patients)), s=p.lstrip("0"), d=f"2020-0{chance.randint(1, 9)}-11"
        )
        for _ in range(1000)
    ]
    study = StudyConfig(window_days=120)
    bins, tables = [], []
    for number in range(2):
        path = tmp_path / f"{number}.csv"
        path.write_text("\n".join(["patient_id;t_score;dxa_site;date;days;z_score", *lines]))
        found = match_outcomes(read_outcome_sheet(path, study), study, SECRET, subjects, film_days)
        assert [row.line for row in found.placed] == list(range(2, 1002))
        left = Counter(row.bin for row in found.placed if row.bin in schemas.EXCLUSION_REASONS)
        assert sum(left.values()) + found.bins["used"] + found.bins["merged"] == 1000
        assert left == Counter(found.exclusions["reason"])
        assert found.bins["used"] == len(found.rows) == found.rows["subject"].nunique()
        bins.append(found.bins)
        tables.append((found.rows, found.exclusions))
        chance.shuffle(lines)
    assert bins[0] == bins[1]
    assert set(bins[0]) == {
        *("used", "merged", "no_film", "unreadable", "z_score", "outside_window", "superseded")
    }
    for first, second in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(first, second)


def test_many_rows_without_a_film_are_worth_a_word(table: Path) -> None:
    few, many = (
        "patient_id,t_score\np1,-1\np2,-1\np3,-1\nx1,-1\n",
        "patient_id,t_score\np1,-1\nx1,-1\nx2,-1\n",
    )
    assert matched(table, few).advice == ""
    assert matched(table, many).advice == (
        "2 of 3 rows of the table have no film: radmill outcomes match shows who nearly matches"
    )
