from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.datetime import to_excel

from pipelines.ingest.values import day, is_serial, number, yes_no


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2.5", -2.5),
        ("-2,5", -2.5),
        ("\u22122,5", -2.5),
        ("\u20132.5", -2.5),
        (" 3 ", 3.0),
        ("-.5", -0.5),
        ("1e2", 100.0),
        ("1\u00a0234,5", 1234.5),
        ("", math.nan),
        ("n/a", math.nan),
        ("inf", math.nan),
        ("1e999", math.nan),
        ("1_0", math.nan),
        ("1.234,5", math.nan),
        ("<-2.5", math.nan),
        ("-2.5*", math.nan),
    ],
)
def test_numbers_as_people_type_them(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value, nan_ok=True)


DAYS = st.dates(date(1970, 1, 1), date(2099, 12, 31))


@given(DAYS)
def test_a_day_is_the_same_however_it_is_written(when: date) -> None:
    serial = f"{to_excel(when):.0f}"
    written = [when.isoformat(), f"{when.isoformat()} 00:00:00", f"{when:%Y%m%d}", f"{when:%d.%m.%Y}", serial]
    assert {day(text) for text in [*written, f"{when.day}.{when.month}.{when.year}"]} == {when}
    assert [is_serial(text) for text in written] == [False] * 4 + [True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "03/04/2020",
        "29.2.20",
        "2021-02-29",
        "32.1.2020",
        "1850-01-01",
        "2200-01-01",
        "12345",
        "yesterday",
    ],
)
def test_a_day_that_could_be_another_is_none(text: str) -> None:
    assert day(text) is None


def test_yes_and_no() -> None:
    assert [yes_no(text) for text in ("Yes", " ja ", "1", "NO", "false", "0", "", "perhaps")] == [
        *(True, True, True, False, False, False, None, None)
    ]
