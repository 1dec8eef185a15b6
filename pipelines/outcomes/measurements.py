"""Rows of the table as measurements: value, site, day and covariates, each as far as it can be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipelines.ingest.sheet import SheetRow
from pipelines.ingest.values import day, number, yes_no
from storage.deidentify import DXA_SITES, capped_age
from storage.radiograph import NAN

# Columns that are read besides the patient and the value.
OPTIONAL = ("exam", "dxa_site", "days", "date", "z_score", "age_years", "sex")
_PLAUSIBLE = {
    "age_years": (0, 130),
    "weight_kg": (20, 400),
    "height_cm": (80, 250),
    "bmi": (8, 120),
    "days": (-36525, 36525),  # a century
}
MEASURES = ("weight_kg", "height_cm", "bmi")
_SEXES = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M"}
_MAX_T_SCORE = 10.0  # no DXA reports more; a lost decimal point does


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one row tells. refused: reason and detail where its value is no outcome."""

    line: int
    exam: str
    value: float
    dxa_site: str
    days: int | None  # between DXA and film, as the table gives it
    day: date | None  # of the DXA; lives in memory alone
    covariates: dict[str, Any]  # column of the outcomes -> value
    refused: tuple[str, str] | None
    unread: tuple[str, ...]  # columns whose text is not understood


def measurement(row: SheetRow, column: str) -> Measurement:
    """Read one row; `column` holds the value."""
    value = number(row.get(column))
    days = _plausible("days", row)
    measures = {name: _plausible(name, row) for name in ("age_years", *MEASURES)}
    covariates = {
        "age_years": capped_age(measures["age_years"]),
        "sex": _SEXES.get(row.get("sex").casefold(), ""),
        "weight_kg": measures["weight_kg"],
        "height_cm": measures["height_cm"],
        "bmi": body_mass_index(**{name: measures[name] for name in MEASURES}),
        "treatment": yes_no(row.get("treatment")),
    }
    known = {
        "days": not math.isnan(days),
        "date": day(row.get("date")) is not None,
        "sex": bool(covariates["sex"]),
        "treatment": covariates["treatment"] is not None,
        **{name: not math.isnan(measure) for name, measure in measures.items()},
    }
    return Measurement(
        line=row.line,
        exam=row.get("exam"),
        value=value,
        dxa_site=_site(row.get("dxa_site")),
        days=round(days) if known["days"] else None,
        day=day(row.get("date")),
        covariates=covariates,
        refused=_refused(row, column, value),
        unread=tuple(name for name, read in known.items() if row.get(name) and not read),
    )


def _refused(row: SheetRow, column: str, value: float) -> tuple[str, str] | None:
    if row.too_long:
        return "unreadable", "more cells than columns: a decimal comma between commas"
    if column == "t_score" and not row.get(column) and row.get("z_score"):
        return "z_score", "a Z-score alone"
    if math.isnan(value) or (column == "t_score" and abs(value) > _MAX_T_SCORE):
        return "unreadable", "the outcome is not a plausible number"
    return None


def _plausible(name: str, row: SheetRow) -> float:
    low, high = _PLAUSIBLE[name]
    value = number(row.get(name))
    return value if low <= value <= high else NAN


def body_mass_index(weight_kg: float, height_cm: float, bmi: float) -> float:
    """As given, else weight over squared height; NaN where either is unknown."""
    return weight_kg / (height_cm / 100) ** 2 if math.isnan(bmi) else bmi


def _site(text: str) -> str:
    site = text.casefold().replace(" ", "_").replace("-", "_")
    return site if site in DXA_SITES else ("other" if site else "")
