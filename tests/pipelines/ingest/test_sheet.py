from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from pipelines.ingest.sheet import number, read_sheet
from storage.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2.5", -2.5),
        ("-2,5", -2.5),
        ("\u22122,5", -2.5),
        ("\u20132.5", -2.5),
        (" 3 ", 3.0),
        ("1\u00a0234,5", 1234.5),
        ("", math.nan),
        ("n/a", math.nan),
        ("inf", math.nan),
    ],
)
def test_numbers_as_people_type_them(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_encodings(tmp_path: Path, encoding: str, separator: str) -> None:
    path = tmp_path / "table.csv"
    lines = [["Patient_ID", "T_Score"], ["Müller", '"-2,5"'], ["", ""]]
    path.write_bytes("\r\n".join(separator.join(line) for line in lines).encode(encoding))
    sheet = read_sheet(path, "outcomes")
    assert sheet.columns == ("patient_id", "t_score")
    assert sheet.rows == [{"patient_id": "Müller", "t_score": "-2,5"}]


def sentence(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_sheet(path, "outcomes")
    return str(caught.value).replace(str(path), "FILE")


def test_what_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    assert (
        sentence(path, b"PK\x03\x04...")
        == "outcomes=FILE is a spreadsheet file; save it as CSV and name that file."
    )
    lines = "outcomes=FILE must hold a line of column names and one line per patient, but has {} lines."
    assert sentence(path, b"") == lines.format(0)
    assert sentence(path, b"patient_id,t_score\n") == lines.format(1)
    assert sentence(path, b"a,a\n1,2\n") == "outcomes=FILE names a column twice: a, a."
    with pytest.raises(InputError, match=re.escape("can't be read: No such file or directory.")):
        read_sheet(tmp_path / "gone.csv", "outcomes")
