from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from pipelines.ingest.sheet import SheetRow, read_sheet
from pipelines.ingest.spreadsheet import MAX_UNPACKED_BYTES
from pipelines.ingest.values import number
from storage.errors import InputError


def workbook(path: Path, *sheets: Sequence[Sequence[Any]], formats: dict[str, str] | None = None) -> Path:
    book = Workbook()
    for number_of, rows in enumerate(sheets):
        worksheet = book.active if number_of == 0 else book.create_sheet()
        assert worksheet is not None
        for row in rows:
            worksheet.append(list(row))
        for place, number_format in (formats or {}).items():
            worksheet[place].number_format = number_format
    book.save(path)
    return path


def rows(path: Path, *needed: str) -> list[SheetRow]:
    return read_sheet(path, "outcomes", needed).rows


def test_a_workbook_reads_as_the_same_table_in_csv(tmp_path: Path) -> None:
    header = ["patient_id", "t_score", "date", "treatment"]
    table: list[list[Any]] = [
        [f"P{index}", -index / 7, date(2020, 1, 1 + index), bool(index % 2)] for index in range(20)
    ]
    book = workbook(tmp_path / "t.xlsx", [header, *table])
    text = tmp_path / "t.csv"
    text.write_text("\n".join([",".join(header), *(",".join(map(str, row)) for row in table)]))
    for found, wanted in zip(rows(book), rows(text), strict=True):
        assert found.line == wanted.line
        assert number(found.get("t_score")) == pytest.approx(number(wanted.get("t_score")), abs=1e-14)
        assert [found.get(name) for name in ("patient_id", "date", "treatment")] == [
            wanted.get(name) for name in ("patient_id", "date", "treatment")
        ]


def test_cells_are_what_the_spreadsheet_shows(tmp_path: Path) -> None:
    cells = [12, 12.0, -2.5, 0.1 + 0.2, 123456789012345678.0, datetime(2020, 2, 29, 13), "  x ", 42]
    names = [f"c{place}" for place in range(len(cells))]
    path = workbook(tmp_path / "t.xlsx", [names, cells], formats={"H2": "000000"})
    [row] = rows(path)
    assert [row.get(name) for name in names] == [
        *("12", "12", "-2.5", "0.3", "1.23456789012346E+17", "2020-02-29", "x", "000042")
    ]


def test_the_first_sheet_with_the_columns_is_read(tmp_path: Path) -> None:
    about, wanted, later = (
        [["About this export"], ["by the DXA unit"]],
        [[], ["Patient ID", "T-Score", None], [], ["p1", -2.5]],
        [["patient_id", "t_score"], ["p2", 0]],
    )
    path = workbook(tmp_path / "t.xlsx", about, wanted, later)
    [row] = rows(path, "patient_id", "t_score")
    assert (row.line, dict(row.cells)) == (4, {"patient_id": "p1", "t_score": "-2.5"})
    with pytest.raises(InputError) as caught:
        rows(path, "patient_id", "bmd")
    assert str(caught.value) == (
        f"None of the 3 sheets of outcomes={path} has the columns patient_id, bmd among its upper lines. "
        "Rename the columns, or name another file."
    )


def refused(path: Path) -> str:
    begun = time.monotonic()
    with pytest.raises(InputError) as caught:
        rows(path, "patient_id")
    assert time.monotonic() - begun < 20
    return str(caught.value).replace(str(path), "FILE")


def rewritten(path: Path, member: str, data: bytes) -> Path:
    """The workbook with one member replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | {member: data}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


SHEET = "xl/worksheets/sheet1.xml"
OPEN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
CLOSE = b"</sheetData></worksheet>"


def test_a_title_above_the_header_is_no_header(tmp_path: Path) -> None:
    cells = [["DXA clinic"], [], ["made", "2020", "by us"], ["patient_id", "t_score"], ["p1", -2.5]]
    path = workbook(tmp_path / "t.xlsx", cells)
    [row] = read_sheet(path, "outcomes", ("patient_id", "t_score")).rows
    assert (row.line, row.cells) == (5, {"patient_id": "p1", "t_score": "-2.5"})


def test_a_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", [["patient_id"], ["p1"]])
    rewritten(path, "xl/media/image1.png", bytes(MAX_UNPACKED_BYTES))
    assert path.stat().st_size < 2**20
    assert refused(path) == (
        "outcomes=FILE unpacks to more than 128 MB; is it a table of patients? "
        "Save the sheet alone as CSV and name that file."
    )


@pytest.mark.parametrize(
    "data",
    [
        b"no XML",
        OPEN[:-20],
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
        + b"]>"
        + OPEN
        + b'<row r="1"><c r="A1" t="inlineStr"><is><t>&m;</t></is></c></row>'
        + CLOSE,
    ],
)
def test_damaged_and_hostile_xml_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    path = rewritten(workbook(tmp_path / "t.xlsx", [["patient_id"], ["p1"]]), SHEET, data)
    assert refused(path).startswith("outcomes=FILE is a damaged spreadsheet, or none of kind .xlsx (")


def test_rows_and_columns_without_end_do_not_hang(tmp_path: Path) -> None:
    """One cell at the far corner makes readers that fill gaps yield billions."""
    cell = b'<row r="%d"><c r="%b" t="inlineStr"><is><t>patient_id</t></is></c></row>'
    for first in (
        cell % (10**12, b"A1000000000000"),
        b"".join(cell % (n, b"XFD%d" % n) for n in range(1, 2000)),
    ):
        path = rewritten(workbook(tmp_path / "t.xlsx", [["a"], ["p1"]]), SHEET, OPEN + first + CLOSE)
        assert "must hold a line of column names" in refused(path)


def test_another_zip_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("film.dcm", b"")
    assert refused(path).startswith("outcomes=FILE is a damaged spreadsheet, or none of kind .xlsx (")
