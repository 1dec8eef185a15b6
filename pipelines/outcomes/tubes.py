"""Outcomes of hysterosalpingographies: one per exam, from what was read of the right and the left tube.

any_tube: 1 where a tube is occluded, 0 where both are patent. both_tubes: 1 where both are occluded, 0 where
one is patent. given: the study's outcome column as it stands. A tube that was not seen decides nothing: where
the other does not decide alone, the exam has no outcome.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.config import StudyConfig
from pipelines.ingest.sheet import SheetRow
from pipelines.ingest.values import number, yes_no
from pipelines.outcomes.match import MERGED, USED, Outcomes, Placed, Subjects, whose
from pipelines.outcomes.measurements import measurement
from pipelines.outcomes.rule import parse_rule
from pipelines.outcomes.sheet import PATIENT, OutcomeSheet
from storage.identity import Secret
from storage.radiograph import NAN
from storage.schemas import OUTCOMES
from storage.tables import empty

STATES = ("patent", "proximal", "distal", "not_seen")
OCCLUDED = ("proximal", "distal")
SIDES = ("right", "left")


@dataclass(frozen=True, slots=True)
class _Read:
    """One row that tells an outcome: its line, the exam as typed, tubes, outcome, covariates."""

    line: int
    exam: str
    tubes: tuple[str, str]
    outcome: int
    covariates: dict[str, Any]


def tube_outcome(rule: str, right: str, left: str, given: int | None) -> int | None:
    """Outcome of an exam by a rule of rule.TUBE_RULES; None where it is not decided.

    right, left: STATES; of a tube that is empty nothing was said, and it decides as little as one not seen.
    """
    if rule == "given":
        return given
    occluded = sum(tube in OCCLUDED for tube in (right, left))
    patent = sum(tube == "patent" for tube in (right, left))
    if rule == "any_tube":
        return 1 if occluded else 0 if patent == 2 else None
    return 0 if patent else 1 if occluded == 2 else None


def match_exams(
    sheet: OutcomeSheet,
    study: StudyConfig,
    secret: Secret,
    subjects_by_patient: Subjects,
    film_days: Mapping[str, Collection[str]],
) -> Outcomes:
    """`match_outcomes` for studies whose unit is the exam: a row per subject and exam, positive ones first."""
    rule = parse_rule(study.outcome_rule)
    placed: list[Placed] = []
    unread: list[tuple[int, str]] = []
    read: dict[tuple[str, str], list[_Read]] = defaultdict(list)
    for row in sheet.sheet.rows:
        subject = whose(sheet, secret, subjects_by_patient, film_days, row)
        if isinstance(subject, Placed):
            placed.append(subject)
            continue
        found = measurement(row, sheet.column)
        unread += [(row.line, column) for column in found.unread]
        told = _told(row, sheet.column, rule.text)
        if isinstance(told, _Read):
            exam = secret.exam(subject, told.exam)
            read[subject, exam].append(_Read(told.line, exam, told.tubes, told.outcome, found.covariates))
        else:
            placed.append(Placed(row.line, subject, *told))
    rows = []
    for (subject, exam), several in sorted(read.items()):
        used, *others = sorted(several, key=lambda one: (-one.outcome, one.line))
        placed.append(Placed(used.line, subject, USED))
        placed += [Placed(other.line, subject, MERGED) for other in others]
        rows.append(_row(subject, exam, used, rule.text))
    frame = pd.DataFrame(rows, columns=OUTCOMES.names) if rows else empty(OUTCOMES)
    return Outcomes(frame, sorted(placed, key=lambda one: one.line), unread)


def told_by_patient(sheet: OutcomeSheet, study: StudyConfig) -> dict[str, bool]:
    """Patients (as the films name them) of whom a row tells an outcome -> whether one is positive."""
    rule = parse_rule(study.outcome_rule)
    found: dict[str, bool] = {}
    for row in sheet.sheet.rows:
        told = _told(row, sheet.column, rule.text)
        if isinstance(told, _Read):
            patient = sheet.film_id(row.get(PATIENT))
            found[patient] = found.get(patient, False) or told.outcome == 1
    return found


def _told(row: SheetRow, column: str, rule: str) -> _Read | tuple[str, str]:
    """What a row says, or reason and detail for leaving it out."""
    if row.too_long:
        return "unreadable", "more cells than columns"
    right, left = (row.get(side).casefold().replace(" ", "_").replace("-", "_") for side in SIDES)
    if {right, left} - {*STATES, ""}:
        return "unreadable", f"right and left must be one of {', '.join(STATES)}"
    outcome = tube_outcome(rule, right, left, _given(row.get(column)))
    if outcome is None:
        return (
            "undecided",
            "no outcome" if rule == "given" else "a tube was not seen, and the other does not decide",
        )
    return _Read(row.line, row.get("exam"), (right, left), outcome, {})


def _given(text: str) -> int | None:
    """0 or 1, yes or no; None for anything else."""
    value = number(text)
    if not math.isnan(value):
        return int(value) if value in (0, 1) else None
    said = yes_no(text)
    return None if said is None else int(said)


def _row(subject: str, exam: str, used: _Read, rule: str) -> dict[str, Any]:
    right, left = used.tubes
    row = {
        "subject": subject,
        "exam": exam,
        "t_score": NAN,
        "dxa_site": "",
        "days": None,
        "outcome": used.outcome,
    }
    return {**row, "rule": rule, **used.covariates, "right": right, "left": left}
