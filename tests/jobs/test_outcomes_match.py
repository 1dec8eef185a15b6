"""`radmill outcomes match`: what matches and what nearly does, from headers alone, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image

from jobs.__main__ import main

CANARY = "canary"


@pytest.fixture
def raw(tmp_path: Path, write_dicom: Callable[..., Path]) -> Path:
    """Five patients; their pixels are missing, which headers do not tell."""
    for number, patient in enumerate(["00123", "AB-7", "555", f"{CANARY}9", "123456789012"]):
        path = write_dicom(
            np.arange(1600, dtype=np.uint16).reshape(40, 40) + number,
            name=f"raw/{CANARY}{number}.dcm",
            PatientID=patient,
            PatientName=f"{CANARY}^Jane",
            StudyDate="20200301",
        )
        path.write_bytes(path.read_bytes()[:-1000])
    (tmp_path / "raw" / "notes.txt").write_text("notes")
    return tmp_path / "raw"


def matched(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str]:
    code = main(["outcomes", "match", *map(str, words), "ingest.memory_gb=1"])
    captured = capsys.readouterr()
    assert CANARY not in captured.out + captured.err
    return code, captured.out


def test_films_and_table_side_by_side(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["patient_id", "t_score", "date", "ward"])
    for row in (
        (123, -2.5, 43890, "w"),
        ("ab 7", "-1,0", "2020-03-02", "w"),
        (555, -2.5, "2.3.2020", "w"),
        ("555", "-3,5", "03/04/2020", "w"),
        ("555", "low", None, "w"),
        (123456789012.0 * 10**4, -1, None, "w"),
        ("1.23457E+11", -1, None, "w"),
        ("nobody", -1, None, "w"),
    ):
        book.active.append(list(row))
    book.save(tmp_path / "dxa.xlsx")
    before = sorted(tmp_path.rglob("*"))
    code, text = matched(capsys, f"raw={raw}", f"outcomes={tmp_path}/dxa.xlsx")
    assert code == 0
    assert text.splitlines() == [
        "films       5 files of 5 subjects; 1 other file",
        "table       8 rows of 6 patients; read: patient_id, t_score, date; not read: ward",
        "days        1 serial number of a spreadsheet, counted from 1899-12-30",
        "matched     1 subject; 4 only in the films, 5 patients only in the table",
        "rows        1 used, 5 no film, 1 superseded, 1 unreadable",
        "t_score     -2.5 to -2.5, median -2.5; <= -2.5 makes 1 of 1 positive; exactly on the limit: 1",
        "film to DXA days known for 1 of 1, 1 to 1; window none",
        "several     1 subject was measured on several days",
        "near misses:",
        "  line 2: patient_id 123 of the table is a subject of the films but for leading zeros",
        "  line 3: patient_id ab 7 of the table is a subject of the films but for dashes, dots or spaces",
        "  line 8: patient_id 1.23457E+11 of the table is a subject of the films but for "
        "the digits that a spreadsheet rounded away",
        "  in all 1 patient by leading zeros; 1 patient by dashes, dots or spaces; 1 patient by the digits that "
        "a spreadsheet rounded away: export the ids as text, or name mapping=FILE with sheet_id and film_id",
        "not usable:",
        "  line 6: the outcome is not a plausible number",
        "not read:",
        "  date: 1 cell such as 99/99/9999 (line 5); write days as 2020-02-29, 29.2.2020 or 20200229",
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mapping_heals_what_nothing_matched(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, mapping = tmp_path / "dxa.csv", tmp_path / "ids.csv"
    table.write_text("patient_id,t_score\ns1,-1\ns2,-2\ns3,-3\n")
    mapping.write_text("sheet_id,film_id\ns1,00123\nS2,ab-7\ns9,555\n")
    code, text = matched(capsys, f"raw={raw}", f"outcomes={table}")
    assert code == 2
    assert "matched     0 subjects; 5 only in the films, 3 patients only in the table" in text
    assert "nobody      patient_id must be the PatientID" in text
    code, text = matched(capsys, f"raw={raw}", f"outcomes={table}", f"mapping={mapping}")
    assert code == 0
    assert "matched     2 subjects; 3 only in the films, 1 patient only in the table" in text
    assert "mapping     2 of 3 lines belong to the table" in text


def test_long_lists_are_cut(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "dxa.csv"
    table.write_text("patient_id,t_score\n555,-1\n" + "".join(f"{'0' * n}123,-1\n" for n in range(3, 30)))
    _, text = matched(capsys, f"raw={raw}", f"outcomes={table}")
    assert "near misses (the first 20 of 27):" in text
    assert text.count("but for leading zeros") == 20
    assert "in all 27 patients by leading zeros: export the ids as text, or name mapping=FILE" in text


def test_cells_that_are_not_read_are_grouped(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "dxa.csv"
    dates = [*["03/04/2020"] * 40, *["29.2.20"] * 9, "soon", "2020"]
    table.write_text("patient_id,t_score,date\n" + "".join(f"555,-1,{date}\n" for date in dates))
    code, text = matched(capsys, f"raw={raw}", f"outcomes={table}")
    assert code == 0
    assert text.splitlines()[-2:] == [
        "not read:",
        "  date: 51 cells such as 99/99/9999 (line 2), 99.9.99 (line 42), aaaa (line 51); "
        "write days as 2020-02-29, 29.2.2020 or 20200229",
    ]
    assert "03/04" not in text


@pytest.mark.parametrize("patient", ["PatientID", "patient id", "id", "pat_id"])
@pytest.mark.parametrize("score", ["T-Score", "tscore", "lowest T score"])
def test_columns_by_other_names(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], patient: str, score: str
) -> None:
    table = tmp_path / "dxa.csv"
    table.write_text(f"{patient},{score}\n555,-1\n")
    code, text = matched(capsys, f"raw={raw}", f"outcomes={table}")
    assert code == 0 and "1 used" in text
    said = [line for line in text.splitlines() if line.startswith("columns")]
    assert len(said) == ((patient != "patient id") or (score != "T-Score"))
    assert ("as patient_id" in "".join(said)) == (patient != "patient id")


def test_of_two_possible_columns_none_is_guessed(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "dxa.csv"
    table.write_text("id,mrn,t_score\n1,555,-1\n")
    assert main(["outcomes", "match", f"raw={raw}", f"outcomes={table}"]) == 2
    err = capsys.readouterr().err
    assert "has no column patient_id; it has id, mrn, t_score" in err


def test_nothing_usable_is_a_failure(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "dxa.csv"
    table.write_text("patient_id,t_score\n555,low\n")
    code, text = matched(capsys, f"raw={raw}", f"outcomes={table}")
    assert code == 1 and "rows        1 unreadable" in text


def test_a_stray_film_of_nobody_stops_nothing(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dxa.csv").write_text("patient_id,t_score\n555,-3\n")
    Image.fromarray(np.arange(1600, dtype=np.uint8).reshape(40, 40)).save(raw / "screenshot.png")
    code, text = matched(capsys, f"raw={raw}", f"outcomes={tmp_path}/dxa.csv")
    assert code == 0 and "rows        1 used" in text


def test_a_mapping_needs_outcomes(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ids.csv").write_text("sheet_id,film_id\na,b\n")
    assert main(["ingest", f"raw={raw}", f"store={tmp_path}/store", f"mapping={tmp_path}/ids.csv"]) == 2
    assert capsys.readouterr().err == (
        "radmill: mapping= tells the ids of a table of outcomes: give outcomes=FILE too.\n"
    )


def test_of_exams_it_tells_how_many_have_films(
    tmp_path: Path, write_dicom: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, exam in enumerate(["1.2.3", "1.2.4", "1.2.5"]):
        pixels = np.arange(1600, dtype=np.uint16).reshape(40, 40) + number
        write_dicom(pixels, name=f"raw/{number}.dcm", PatientID="w1", StudyInstanceUID=exam, Modality="XA")
    table = tmp_path / "tubes.csv"
    head = "patient_id,exam,right,left,occlusion\n"
    table.write_text(f"{head}w1,1.2.3,patent,patent,0\nw1,1.2.4,distal,patent,1\nw1,1.2.9,patent,patent,0\n")
    words = [f"raw={tmp_path}/raw", f"outcomes={table}", "study=hsg"]
    code, text = matched(capsys, *words)
    assert code == 0
    assert "exams       2 of 3 with an outcome have films; 1 exam only in the films" in text
    write_dicom(
        np.full((40, 40), 9, np.uint16),
        name="raw/3.dcm",
        PatientID="w2",
        StudyInstanceUID="2.1",
        Modality="XA",
    )
    table.write_text(f"{head}w2,,patent,patent,0\nw1,,patent,patent,0\n")  # w1 has three
    code, text = matched(capsys, *words)
    assert code == 0 and "exams       1 of 2 with an outcome have films; 3 exams only in the films" in text
    table.write_text(f"{head}w1,first,patent,patent,0\n")
    code, text = matched(capsys, *words)
    assert code == 1
    assert "0 of 1 with an outcome have films; the column exam must hold the films' StudyInstanceUID" in text
