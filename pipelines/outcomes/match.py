"""The table's rows under the films' pseudonyms: one outcome per subject, and every row in exactly one bin.

1. A row whose patient has no film, or whose value is no outcome, is left out with its reason.
2. Of a subject's days the one nearest to the film counts, within study.window_days; the others are left out.
3. Of the rows of that day (hip, spine) the one nearest to the positive class counts: the lowest T-score. The
   others are merged into it. Where no day is known, all rows of one exam are of one day, and the lowest counts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from pipelines.config import StudyConfig
from pipelines.ingest.sheet import SheetRow
from pipelines.ingest.values import day
from pipelines.outcomes.identifiers import mangled
from pipelines.outcomes.measurements import Measurement, body_mass_index, measurement
from pipelines.outcomes.rule import Rule, parse_rule
from pipelines.outcomes.sheet import PATIENT, OutcomeSheet
from storage.errors import InputError
from storage.identity import Secret
from storage.schemas import EXCLUSIONS, OUTCOMES
from storage.tables import empty
from storage.wording import counted

STAGE = "outcomes"
USED, MERGED = "used", "merged"
SEVERAL = "several subjects have this id: of two issuers, or files of one name in two folders"
WHOSE_IDS = (
    "patient_id must be the PatientID of the DICOM header; of other files, what ingest.subject_from takes from "
    "the path."
)
_MANY = 0.25  # of the rows without a film
Subjects = Mapping[str, Collection[str]]  # normalised patient id -> pseudonyms


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one row of the table went."""

    line: int
    token: str  # pseudonym of its patient
    bin: str  # used, merged, or a reason of the exclusions
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The rows for outcomes.parquet; where each row of the table went; (line, column) of cells not understood."""

    rows: pd.DataFrame
    placed: list[Placed]
    unread: list[tuple[int, str]]

    @property
    def bins(self) -> dict[str, int]:
        """Bin -> number of rows; they sum to the rows of the table."""
        return dict(Counter(row.bin for row in self.placed))

    @property
    def advice(self) -> str:
        """What to do where many rows have no film or cells are not understood; empty where all is well."""
        without = self.bins.get("no_film", 0)
        told = []
        if without > _MANY * len(self.placed):
            told.append(
                f"{without:,} of {counted(len(self.placed), 'row')} of the table have no film: "
                "radmill outcomes match shows who nearly matches"
            )
        if self.unread:
            columns = ", ".join(dict.fromkeys(column for _, column in self.unread))
            cells = counted(len(self.unread), "cell")
            told.append(f"{cells} of {columns} not understood: radmill outcomes match shows which")
        return "; ".join(told)

    @property
    def exclusions(self) -> pd.DataFrame:
        """One row per row left out (schemas.EXCLUSIONS); `frame` counts the rows of one patient."""
        left = sorted((p.token, p.bin, p.detail) for p in self.placed if p.bin not in (USED, MERGED))
        seen: Counter[str] = Counter()
        rows = []
        for token, reason, detail in left:
            rows.append((token, seen[token], reason, detail, STAGE))
            seen[token] += 1
        return pd.DataFrame(rows, columns=EXCLUSIONS.names) if rows else empty(EXCLUSIONS)


def check_any_match(sheet: OutcomeSheet, subjects_by_patient: Subjects) -> None:
    """Raise InputError where no row belongs to a subject with a film: told before any film is decoded."""
    if not any(sheet.film_id(row.get(PATIENT)) in subjects_by_patient for row in sheet.sheet.rows):
        raise InputError(
            f"None of the {counted(len(sheet.sheet.rows), 'row')} of {sheet.sheet.what} belongs to one of the films' "
            f"subjects. {WHOSE_IDS} radmill outcomes match raw=DIR outcomes=FILE shows what nearly matches; "
            "mapping=FILE tells it other ids."
        )


def match_outcomes(
    sheet: OutcomeSheet,
    study: StudyConfig,
    secret: Secret,
    subjects_by_patient: Subjects,
    film_days: Mapping[str, Collection[str]],
) -> Outcomes:
    """Put the table's patients under the films' pseudonyms.

    Args:
        subjects_by_patient: normalised patient id -> pseudonyms of the films' subjects, one per issuer.
        film_days: subject -> days of its films as YYYYMMDD or empty; nobody else has a film.
    """
    if study.unit == "exam":
        from pipelines.outcomes.tubes import match_exams  # which builds on this module

        return match_exams(sheet, study, secret, subjects_by_patient, film_days)
    rule = parse_rule(study.outcome_rule)
    placed: list[Placed] = []
    unread: list[tuple[int, str]] = []
    measured: dict[str, list[Measurement]] = defaultdict(list)
    mine = partial(whose, sheet, secret, subjects_by_patient, film_days)
    for row in sheet.sheet.rows:
        found = measurement(row, sheet.column)
        unread += [(row.line, column) for column in found.unread]
        subject = mine(row)
        if isinstance(subject, Placed):
            placed.append(subject)
        elif found.refused:
            placed.append(Placed(row.line, subject, *found.refused))
        else:
            measured[subject].append(found)
    rows = []
    for subject in sorted(measured):
        timed = [_timed(one, film_days[subject]) for one in measured[subject]]
        used, others = _settle(subject, timed, study.window_days, rule)
        placed += others
        if used:
            placed.append(Placed(used.measurement.line, subject, USED))
            rows.append(_row(subject, used, rule, secret))
    frame = pd.DataFrame(rows, columns=OUTCOMES.names) if rows else empty(OUTCOMES)
    return Outcomes(frame, sorted(placed, key=lambda one: one.line), unread)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A measurement, and the days from the film to it; None where they are not known."""

    measurement: Measurement
    days: int | None

    @property
    def distance(self) -> float:
        return math.inf if self.days is None else abs(self.days)

    @property
    def occasion(self) -> tuple[Any, ...]:
        """The same for rows of one day; of one exam where no day is known."""
        one = self.measurement
        return ("exam", one.exam) if self.days is None and one.day is None else ("day", self.days, one.day)


def whose(
    sheet: OutcomeSheet,
    secret: Secret,
    subjects_by_patient: Subjects,
    film_days: Mapping[str, Collection[str]],
    row: SheetRow,
) -> str | Placed:
    """The row's subject, or why it has none."""
    patient = sheet.film_id(row.get(PATIENT))
    subjects = sorted(subjects_by_patient.get(patient, ()))
    if len(subjects) == 1 and subjects[0] in film_days:
        return subjects[0]
    left_out = partial(Placed, row.line, subjects[0] if len(subjects) == 1 else secret.subject("", patient))
    if not patient:
        return left_out("unreadable", "a row without a patient id")
    if len(subjects) == 1:
        return left_out("no_film", "an outcome whose films were all left out")
    if subjects:
        return left_out("no_film", SEVERAL)
    spoiled = "; a spreadsheet changed the patient id" if mangled(patient) else ""
    return left_out("no_film", f"an outcome without a film{spoiled}")


def _timed(one: Measurement, film_days: Collection[str]) -> _Timed:
    """With the days the table gives, else those to the nearest film."""
    if one.days is not None or one.day is None:
        return _Timed(one, one.days)
    taken = [film_day for text in film_days if (film_day := day(text))]
    intervals = [(one.day - film_day).days for film_day in taken]
    return _Timed(one, min(intervals, key=lambda days: (abs(days), days), default=None))


def _settle(
    subject: str, timed: Sequence[_Timed], window_days: int | None, rule: Rule
) -> tuple[_Timed | None, list[Placed]]:
    """The measurement that counts, and where the others go."""
    placed: list[Placed] = []
    inside = []
    for one in timed:
        if window_days is None or one.distance <= window_days:
            inside.append(one)
            continue
        known = "too far from the film" if one.days is not None else "the days to the film are not known"
        placed.append(Placed(one.measurement.line, subject, "outside_window", known))
    used = min(inside, key=partial(_precedence, rule), default=None)
    merged = []
    for one in inside:
        if used is None or one is used:
            continue
        if one.occasion == used.occasion:
            merged.append(one.measurement)
            placed.append(Placed(one.measurement.line, subject, MERGED))
        else:
            placed.append(Placed(one.measurement.line, subject, "superseded", "another day counts"))
    return used and _completed(used, merged), placed


def _completed(used: _Timed, merged: Sequence[Measurement]) -> _Timed:
    """With covariates that only other rows of the day tell, as far as those agree."""
    told = dict(used.measurement.covariates)
    for name in [name for name in told if _unknown(told[name]) and name != "bmi"]:
        others = {one.covariates[name] for one in merged if not _unknown(one.covariates[name])}
        if len(others) == 1:
            told[name] = others.pop()
    # not from another row, where it may be of another weight
    told["bmi"] = body_mass_index(told["weight_kg"], told["height_cm"], told["bmi"])
    return replace(used, measurement=replace(used.measurement, covariates=told))


def _unknown(covariate: object) -> bool:
    return covariate in (None, "") or covariate != covariate  # NaN


def _precedence(rule: Rule, one: _Timed) -> tuple[float, float, str, str, int]:
    measured = one.measurement
    return one.distance, -rule.severity(measured.value), measured.dxa_site, measured.exam, measured.line


def _row(subject: str, used: _Timed, rule: Rule, secret: Secret) -> dict[str, Any]:
    one = used.measurement
    return {
        "subject": subject,
        "exam": secret.exam(subject, one.exam),
        "t_score": one.value,
        "dxa_site": one.dxa_site,
        "days": used.days,
        "outcome": rule.outcome(one.value),
        "rule": rule.text,
        **one.covariates,
        **dict.fromkeys(("right", "left"), ""),
    }
