"""How a table's patient id misses the films' by a hair: told to the user, never taken for a match.

Zeros in front, dashes and the end of long numbers tell patients apart in some hospitals and are noise in others.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

_ROUNDED = re.compile(r"\d([.,]\d+)?e\+?\d+")  # 1.23457e+11, once 123456789012
_POINT_ZERO = re.compile(r"(.*\d)[.,]0+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")  # 3-2, once a spreadsheet took it for a day

Spelling = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class NearMiss:
    """In what an id differs from those of the films, and how many subjects it may be."""

    differs_in: str
    subjects: int


class FilmIds:
    """The films' patient ids, to be asked for one that nearly is there."""

    def __init__(self, subjects_by_patient: Mapping[str, Collection[str]]) -> None:
        """subjects_by_patient: normalised id -> the subjects it stands for."""
        self._loose = [(why, spelling, _index(subjects_by_patient, spelling)) for why, spelling in _SPELLINGS]
        self._by_digits = {
            film_id: subjects
            for film_id, subjects in subjects_by_patient.items()
            if film_id.isascii() and film_id.isdigit()
        }

    def near(self, patient: str) -> NearMiss | None:
        """What the normalised id misses by; None where no film's id is near."""
        for why, spelling, index in self._loose:
            if subjects := index.get(spelling(patient)):
                return NearMiss(why, len(subjects))
        if subjects := self._rounded(patient):
            return NearMiss("the digits that a spreadsheet rounded away", len(subjects))
        return None

    def _rounded(self, patient: str) -> set[str]:
        if not _ROUNDED.fullmatch(patient):
            return set()
        mantissa, _, exponent = patient.replace(",", ".").partition("e")
        places = max(len(mantissa) - 2, 0)
        return {
            subject
            for film_id, subjects in self._by_digits.items()
            if len(film_id) == int(exponent) + 1
            and f"{Decimal(film_id):.{places}e}".startswith(f"{mantissa}e")
            for subject in subjects
        }


def mangled(patient: str) -> bool:
    """Whether a spreadsheet has made something else of an id: a rounded number or a day."""
    return bool(_ROUNDED.fullmatch(patient) or _DAY.fullmatch(patient))


def _index(subjects_by_patient: Mapping[str, Collection[str]], spelling: Spelling) -> dict[str, set[str]]:
    index: dict[str, set[str]] = defaultdict(set)
    for film_id, subjects in subjects_by_patient.items():
        index[spelling(film_id)].update(subjects)
    index.pop("", None)
    return dict(index)


def _without_point_zero(text: str) -> str:
    match = _POINT_ZERO.fullmatch(text)
    return match[1] if match else text


def _without_zeros(text: str) -> str:
    return _without_point_zero(text).lstrip("0")


def _without_marks(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _without_both(text: str) -> str:
    return _without_marks(_without_point_zero(text)).lstrip("0")


_SPELLINGS: tuple[tuple[str, Spelling], ...] = (
    ("the .0 that a spreadsheet added", _without_point_zero),
    ("leading zeros", _without_zeros),
    ("dashes, dots or spaces", _without_marks),
    ("leading zeros and dashes, dots or spaces", _without_both),
)
