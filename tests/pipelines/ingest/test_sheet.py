from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.ingest import sheet as sheets
from pipelines.ingest.sheet import Sheet, column_name, read_sheet
from storage.errors import InputError


def cells(sheet: Sheet) -> list[dict[str, str]]:
    return [dict(row.cells) for row in sheet.rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("told", [False, True])
def test_separators_and_encodings(tmp_path: Path, encoding: str, separator: str, told: bool) -> None:
    path = tmp_path / "table.csv"
    lines = [["Patient_ID", "T_Score"], ["Müller", '"-2,5"'], ["", ""]]
    text = (f"sep={separator}\r\n" if told else "\r\n") + "\r\n".join(separator.join(line) for line in lines)
    path.write_bytes(text.encode(encoding))
    sheet = read_sheet(path, "outcomes")
    assert sheet.columns == ("patient_id", "t_score")
    assert cells(sheet) == [{"patient_id": "Müller", "t_score": "-2,5"}]
    assert [row.line for row in sheet.rows] == [3]


@pytest.mark.parametrize("separator", [";", "|"])
def test_a_title_above_the_header_is_no_header(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "table.csv"
    lines = ["DXA clinic, export, 2020", "", "ID|T-score", "p1|-2", "patient_id|t_score"]
    path.write_text("\n".join(lines).replace("|", separator))
    others = {"patient_id": ("id",)}
    sheet = read_sheet(path, "outcomes", ("patient_id", "t_score"), others)
    assert sheet.columns == ("patient_id", "t_score") and sheet.guessed == {"patient_id": "id"}
    assert [(row.line, row.get("patient_id")) for row in sheet.rows] == [(4, "p1"), (5, "patient_id")]
    with pytest.raises(InputError, match="has no column z_score; it has dxa_clinic, export, 2020"):
        read_sheet(path, "outcomes", ("z_score",))


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('a,b\n\n1,"two\nlines"\n\n3,4\n')
    assert [row.line for row in read_sheet(path, "outcomes").rows] == [3, 6]


def test_a_row_with_more_cells_than_columns_says_so(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b,\n1,-2,5\n1,-2,\n1\n1,2,,\n")
    assert [row.too_long for row in read_sheet(path, "outcomes").rows] == [True, False, False, False]


@pytest.mark.parametrize("name", ["T-Score", " t score", "T_SCORE ", "t_score"])
def test_one_spelling_of_a_column(name: str) -> None:
    assert column_name(name) == "t_score"


def sentence(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_sheet(path, "outcomes")
    return str(caught.value).replace(str(path), "FILE")


def test_what_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    assert sentence(path, b"PK\x03\x04...") == (
        "outcomes=FILE is a damaged spreadsheet, or none of kind .xlsx (BadZipFile); "
        "save it as CSV and name that file."
    )
    assert sentence(path, b"\xd0\xcf\x11\xe0...") == (
        "outcomes=FILE is an old spreadsheet, or has a password; save it as .xlsx without one, or as CSV."
    )
    lines = "outcomes=FILE must hold a line of column names and one line per patient, but has {} lines."
    assert sentence(path, b"") == lines.format(0)
    assert sentence(path, b"patient_id,t_score\n") == lines.format(1)
    assert sentence(path, b"a,a\n1,2\n") == "outcomes=FILE names a column twice: a, a."
    assert sentence(path, b"a,b\n1,\0\n") == (
        "outcomes=FILE is not a table but binary data; name a .csv or .xlsx file."
    )
    assert sentence(path, b"a,b\n1," + b"x" * 200_000).startswith(
        "outcomes=FILE is not a table: field larger"
    )
    with pytest.raises(InputError, match=re.escape("can't be read: No such file or directory.")):
        read_sheet(tmp_path / "gone.csv", "outcomes")


def test_300_mb_are_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    with pytest.raises(InputError) as caught:
        read_sheet(path, "outcomes")
    assert str(caught.value) == f"outcomes={path} is larger than 64 MB; is it a table of patients?"


def test_more_lines_than_patients_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "_MAX_ROWS", 2)
    path = tmp_path / "table.csv"
    path.write_text("a\n1\n2\n")
    assert len(read_sheet(path, "outcomes").rows) == 2
    assert sentence(path, b"a\n1\n2\n3\n") == (
        "outcomes=FILE has more than 2 lines; is it a table of patients?"
    )
