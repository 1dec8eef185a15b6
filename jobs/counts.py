"""How many people a job will find, and how precise that makes it: what `radmill plan` tells of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jobs.config import Settings
from jobs.folders import existing
from jobs.job import Job
from storage.wording import counted

EXPECTED_AUC = 0.8
MOST_HALF_WIDTH = 0.5  # a wider interval would say nothing
HELD_BACK = 0.25  # of a training part, where the encoder learns from outcomes
TESTED = 0.2  # of whole films: share of the women


class Counts(NamedTuple):
    """Subjects with an outcome."""

    subjects: int
    positives: int
    tested: float = 1.0
    """Share of them."""

    @property
    def negatives(self) -> int:
        return self.subjects - self.positives


def foreseen_counts(job: Job, settings: Settings) -> Counts | None:
    """Subjects and positives among them, where something tells: the phantoms, the sheet, or the store."""
    if settings.population == "child":
        return Counts(0, 0)
    if "phantoms" in job.sections:
        from pipelines.phantoms.study import foreseen

        _, subjects, positives = foreseen(settings.phantoms, settings.study)
        return Counts(subjects, positives, TESTED if settings.study.whole_films else 1.0)
    if settings.outcomes is not None:
        return _sheet_counts(settings)
    if job.name == "run" and not (Path(str(settings.store)) / "CURRENT").is_file():
        return Counts(0, 0)
    if job.name in ("classify", "evaluate", "run"):
        from pipelines.classification.exams import exam_outcomes
        from pipelines.classification.labelled import subject_outcomes
        from storage.manifest import Store

        store = Store.open(Path(str(settings.store)))
        if settings.study.whole_films:
            share = TESTED if job.name == "classify" else 1.0
            return _women(exam_outcomes(store, settings.study))._replace(tested=share)
        outcomes = subject_outcomes(store, settings.study)
        return Counts(len(outcomes), sum(outcomes.values()))
    return None


def _women(outcomes: Mapping[tuple[str, str], int]) -> Counts:
    """Women with an outcome, positive if any exam is."""
    positive: dict[str, int] = {}
    for (subject, _), outcome in outcomes.items():
        positive[subject] = max(positive.get(subject, 0), outcome)
    return Counts(len(positive), sum(positive.values()))


def widening(settings: Settings) -> float:
    """How much wider the folds' intervals are than those of one fixed test set, as the report stretches them."""
    from pipelines.evaluation.intervals import fold_widening

    folds = 1 if settings.study.whole_films else settings.splits.folds
    held_back = settings.pretraining.method == "supcon" or settings.classification.encoder == "fine_tuned"
    learnt = 1 - HELD_BACK if held_back else 1.0
    return fold_widening(folds, 1 / (learnt * (folds - 1))) if folds > 1 else 1.0


def precision_lines(counts: Counts, wider: float) -> list[str]:
    """How wide the interval of an AUC will be, never beyond what an AUC can be. wider: of `widening`."""
    if not counts.subjects:
        return ["outcomes: none, so embeddings alone come out, no probability"]
    tested = (round(counts.tested * number) for number in (counts.positives, counts.negatives))
    half = wider * auc_half_width(EXPECTED_AUC, *tested)
    if not half <= MOST_HALF_WIDTH:
        expected = "too few to say"
    else:
        low, high = max(0.0, EXPECTED_AUC - half), min(1.0, EXPECTED_AUC + half)
        expected = f"an AUC of {EXPECTED_AUC:.2f} would have the 95 % interval {low:.2f} to {high:.2f}"
    return [
        f"outcomes: {counted(counts.subjects, 'subject')}, {counts.positives:,} positive",
        f"expected precision: {expected}",
    ]


def _sheet_counts(settings: Settings) -> Counts:
    """Patients of the sheet alone, positive if any row is; matching them with the films is ingest's work."""
    from pipelines.ingest.values import number
    from pipelines.outcomes.rule import parse_rule
    from pipelines.outcomes.sheet import PATIENT, read_outcome_sheet
    from pipelines.outcomes.tubes import told_by_patient

    table = read_outcome_sheet(existing(str(settings.outcomes), "outcomes"), settings.study)
    if settings.study.unit == "exam":
        told = told_by_patient(table, settings.study)
        return Counts(len(told), sum(told.values()), TESTED)
    rule = parse_rule(settings.study.outcome_rule)
    positive: dict[str, bool] = {}
    for row in table.sheet.rows:
        if not math.isnan(value := number(row.get(table.column))):
            patient = table.film_id(row.get(PATIENT))
            positive[patient] = positive.get(patient, False) or bool(rule.outcome(value))
    return Counts(len(positive), sum(positive.values()))


def auc_half_width(auc: float, positives: int, negatives: int) -> float:
    """Half of an AUC's 95 % interval (Hanley and McNeil, Radiology 1982;143:29-36); NaN without both classes."""
    if positives < 1 or negatives < 1:
        return math.nan
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return 1.96 * math.sqrt(spread / (positives * negatives))
