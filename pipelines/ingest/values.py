"""Cells as people and spreadsheets write them: numbers, days, yes and no. What can't be told stays unknown."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta

_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"))
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ISO_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})([ T].*)?")
_DICOM_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})()")
_GERMAN_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})([ T].*)?")
_SERIAL_DAY = re.compile(r"(\d{5})([.,]\d*)?")
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2100, 1, 1)
_SERIAL_ZERO = date(
    1899, 12, 30
)  # Excel's day 0; it counts a 29 February 1900, so this holds from March 1900 on
_YES, _NO = ("yes", "y", "true", "1", "ja", "oui", "si"), ("no", "n", "false", "0", "nein", "non")


def number(text: str) -> float:
    """A number as people type it: -2.5, -2,5 or with a typographic minus; NaN where it is none."""
    plain = text.strip().translate(_MINUS).replace("\u00a0", "").replace("\u202f", "").replace(" ", "")
    if "," in plain and "." not in plain:
        plain = plain.replace(",", ".")
    value = float(plain) if _NUMBER.fullmatch(plain) else math.nan
    return value if math.isfinite(value) else math.nan


def day(text: str) -> date | None:
    """A day as 2020-02-29, 20200229, 29.2.2020 or the spreadsheet's serial number 43890; else None.

    03/04/2020 is another day in other countries, and 29.2.20 another century: neither is guessed.
    """
    plain = text.strip().translate(_MINUS)
    if is_serial(plain):
        found = _SERIAL_ZERO + timedelta(days=int(plain[:5]))
    elif match := _ISO_DAY.fullmatch(plain) or _DICOM_DAY.fullmatch(plain):
        found = _date(match[1], match[2], match[3])
    elif match := _GERMAN_DAY.fullmatch(plain):
        found = _date(match[3], match[2], match[1])
    else:
        return None
    return found if _FIRST_DAY <= found < _LAST_DAY else None


def is_serial(text: str) -> bool:
    """Whether a day is written as a spreadsheet's serial number (days since 1899-12-30)."""
    return bool(_SERIAL_DAY.fullmatch(text.strip()))


def yes_no(text: str) -> bool | None:
    """Whether a cell says yes; None where it says neither."""
    word = text.strip().casefold()
    return True if word in _YES else False if word in _NO else None


def _date(year: str, month: str, day_of_month: str) -> date:
    try:
        return date(int(year), int(month), int(day_of_month))
    except ValueError:
        return date.min
