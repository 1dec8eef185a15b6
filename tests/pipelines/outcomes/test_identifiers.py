from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.outcomes.identifiers import FilmIds, NearMiss, mangled

FILMS = FilmIds(
    {
        "0012345": {"a"},
        "ab-17.3": {"b"},
        "123456789012": {"c"},
        "123457000000": {"d"},
        "777": {"e"},
        "0777": {"f"},
        "x 1": {"g"},
        "--": {"h"},
    }
)


@pytest.mark.parametrize(
    ("patient", "differs_in", "subjects"),
    [
        ("12345", "leading zeros", 1),
        ("12345.0", "leading zeros", 1),
        ("777.0", "the .0 that a spreadsheet added", 1),
        ("00777", "leading zeros", 2),
        ("ab17-3", "dashes, dots or spaces", 1),
        ("x1", "dashes, dots or spaces", 1),
        ("0-12345", "leading zeros and dashes, dots or spaces", 1),
        ("1.23457e+11", "the digits that a spreadsheet rounded away", 2),
        ("1,234568e+11", "the digits that a spreadsheet rounded away", 1),
        ("1.23456789012e+11", "the digits that a spreadsheet rounded away", 1),
    ],
)
def test_near_misses_are_named(patient: str, differs_in: str, subjects: int) -> None:
    assert FILMS.near(patient) == NearMiss(differs_in, subjects)


@pytest.mark.parametrize("patient", ["", "-", "0", "12346", "ab-17.4", "1.23457e+12", "1.3e+11"])
def test_others_are_strangers(patient: str) -> None:
    assert FILMS.near(patient) is None


@given(st.integers(10**11, 10**16 - 1), st.integers(1, 9))
def test_a_number_that_a_spreadsheet_shortened_is_near_its_origin(film_id: int, places: int) -> None:
    """Excel shows 123456789012 as 1.23457E+11 and drops zeros at the end."""
    mantissa, exponent = f"{film_id:.{places}e}".split("e")
    shown = f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    miss = FilmIds({str(film_id): {"s"}}).near(shown)
    carried = len(str(film_id)) != int(exponent) + 1  # 999999999999 becomes 1E+12: its length is lost too
    assert miss is None if carried else miss == NearMiss("the digits that a spreadsheet rounded away", 1)
    assert mangled(shown)


def test_what_a_spreadsheet_makes_of_an_id() -> None:
    assert [mangled(patient) for patient in ("2021-03-02", "1.5e+7", "p-12", "12e", "3-2", "00012")] == [
        *(True, True, False, False, False, False)
    ]
