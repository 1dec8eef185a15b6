"""Outcomes: a table of patients becomes rows under the films' pseudonyms, by the study's rule."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.config import StudyConfig
from pipelines.ingest.rule import Rule, parse_rule
from pipelines.ingest.scan import Exclusion
from pipelines.ingest.sheet import Sheet, number, read_sheet
from storage.deidentify import DXA_SITES, capped_age
from storage.errors import InputError
from storage.identity import Secret, normalise
from storage.schemas import OUTCOMES
from storage.tables import empty

STAGE = "outcomes"
_SEXES = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M"}
_MAX_T_SCORE = 10.0  # no DXA reports more; a lost decimal point does


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The rows for outcomes.parquet, and the patients left out, by their pseudonym as token."""

    rows: pd.DataFrame
    exclusions: list[Exclusion]


def read_outcome_sheet(path: Path, study: StudyConfig) -> Sheet:
    """Read the table and check its columns, before any film is read."""
    parse_rule(study.outcome_rule)
    sheet = read_sheet(path, "outcomes")
    sheet.require("patient_id")
    sheet.require(study.outcome_column.casefold())
    return sheet


def match_outcomes(
    sheet: Sheet, study: StudyConfig, secret: Secret, subjects_by_patient: Mapping[str, Collection[str]]
) -> Outcomes:
    """Put the table's patients under the films' pseudonyms.

    Of several rows of a subject's exam on one day the one nearest to the positive class counts (the lowest
    T-score of the sites measured); other days are rows of their own, the earliest first. Every other patient
    is excluded with a reason. InputError where none has a film.

    Args:
        subjects_by_patient: normalised patient id -> pseudonyms of the films' subjects, one per issuer.
    """
    rule = parse_rule(study.outcome_rule)
    column = study.outcome_column.casefold()
    best: dict[tuple[str, str, float], dict[str, Any]] = {}
    exclusions: set[Exclusion] = set()
    matched = False
    for row in sheet.rows:
        patient = row.get("patient_id", "")
        subjects = sorted(subjects_by_patient.get(normalise(patient), ()))
        if len(subjects) != 1:
            detail = "the patient id has several issuers" if subjects else "an outcome without a film"
            exclusions.add(_left_out(secret.subject("", patient), "no_film", detail))
            continue
        matched = True
        value = number(row.get(column, ""))
        if math.isnan(value) or (column == "t_score" and abs(value) > _MAX_T_SCORE):
            exclusions.add(_left_out(subjects[0], "unreadable", "the outcome is not a plausible number"))
            continue
        described = _described(row, subjects[0], value, rule, secret)
        days = described["days"]
        place = (subjects[0], described["exam"], math.inf if days is None else days)
        if place not in best or rule.severity(value) > rule.severity(best[place]["t_score"]):
            best[place] = described
    if not matched:
        raise InputError(
            f"None of the {len(sheet.rows)} rows of {sheet.what} belongs to one of the films' subjects. "
            "patient_id must be the PatientID of the DICOM header; of other files, what ingest.subject_from "
            "takes from the path."
        )
    ordered = [best[place] for place in sorted(best)]
    rows = pd.DataFrame(ordered, columns=OUTCOMES.names) if best else empty(OUTCOMES)
    return Outcomes(rows, sorted(exclusions))


def with_films(outcomes: Outcomes, subjects: Collection[str]) -> Outcomes:
    """The outcomes of subjects with a film in the store; others had films that were all left out."""
    known = outcomes.rows["subject"].isin(list(subjects))
    without = [
        _left_out(subject, "no_film", "an outcome whose films were all left out")
        for subject in outcomes.rows.loc[~known, "subject"].unique()
    ]
    return Outcomes(outcomes.rows[known], sorted({*outcomes.exclusions, *without}))


def _left_out(subject: str, reason: str, detail: str) -> Exclusion:
    return Exclusion(subject, 0, reason, detail, STAGE)


def _described(
    row: Mapping[str, str], subject: str, value: float, rule: Rule, secret: Secret
) -> dict[str, Any]:
    days = number(row.get("days", ""))
    site = row.get("dxa_site", "").casefold().replace(" ", "_").replace("-", "_")
    return {
        "subject": subject,
        "exam": secret.exam(subject, row.get("exam", "")),
        "t_score": value,
        "dxa_site": site if site in DXA_SITES else ("other" if site else ""),
        "days": None if math.isnan(days) else round(days),
        "outcome": rule.outcome(value),
        "rule": rule.text,
        "age_years": capped_age(number(row.get("age_years", ""))),
        "sex": _SEXES.get(row.get("sex", "").casefold(), ""),
        "weight_kg": number(row.get("weight_kg", "")),
    }
