"""What `radmill outcomes match` says: who matches, who nearly does, and what of the table can't be read.

It quotes the table as its owner typed it, and nothing of the films' headers and names.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.config import StudyConfig
from pipelines.ingest.values import is_serial
from pipelines.outcomes.films import People
from pipelines.outcomes.identifiers import FilmIds, NearMiss
from pipelines.outcomes.match import MERGED, SEVERAL, USED, WHOSE_IDS, Outcomes, match_outcomes
from pipelines.outcomes.measurements import MEASURES, OPTIONAL
from pipelines.outcomes.rule import parse_rule
from pipelines.outcomes.sheet import PATIENT, OutcomeSheet
from storage.identity import Secret, normalise
from storage.wording import counted

_SHOWN = 20
_FORM_LENGTH = 30
_FORMS = 3  # examples of cells that are not understood
_WANTED = {
    "date": "; write days as 2020-02-29, 29.2.2020 or 20200229",
    "sex": "; write F or M",
    "treatment": "; write yes or no",
}
_READ = {PATIENT, "treatment", "right", "left", *OPTIONAL, *MEASURES}


@dataclass(frozen=True, slots=True)
class MatchReport:
    """Films and table side by side; near: line, patient id as typed, and what it misses by."""

    sheet: OutcomeSheet
    study: StudyConfig
    people: People
    outcomes: Outcomes
    matched: int  # subjects
    only_films: int  # subjects
    only_sheet: int  # patients
    near: list[tuple[int, str, NearMiss]]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self._films()
        yield from self._table()
        yield (
            f"matched     {counted(self.matched, 'subject')}; {self.only_films:,} only in the films, "
            f"{counted(self.only_sheet, 'patient')} only in the table"
        )
        bins = ", ".join(
            f"{count:,} {name.replace('_', ' ')}" for name, count in _ordered(self.outcomes.bins)
        )
        yield f"rows        {bins}"
        yield from self._values()
        near = [
            f"line {line}: patient_id {typed} of the table is {_subjects(miss.subjects)} of the films but for "
            f"{miss.differs_in}"
            for line, typed, miss in self.near
        ]
        yield from _listed("near misses", near)
        if near:
            heal = "export the ids as text, or name mapping=FILE with sheet_id and film_id"
            yield f"  in all {'; '.join(self._near())}: {heal}"
        elif not self.matched:
            yield f"nobody      {WHOSE_IDS} mapping=FILE with sheet_id and film_id tells the table other ids."
        refused = [
            f"line {row.line}: {row.detail}"
            for row in self.outcomes.placed
            if row.bin in ("unreadable", "z_score") or row.detail == SEVERAL
        ]
        yield from _listed("not usable", refused)
        yield from _listed("not read", list(self._unread()))

    def _unread(self) -> Iterator[str]:
        """Per column how many cells are not understood, and in what forms they come, the most frequent first."""
        rows = {row.line: row for row in self.sheet.sheet.rows}
        columns: dict[str, list[tuple[int, str]]] = {}
        for line, column in self.outcomes.unread:
            columns.setdefault(column, []).append((line, _form(rows[line].get(column))))
        for column, cells in columns.items():
            lines = {form: line for line, form in reversed(cells)}
            common = Counter(form for _, form in cells).most_common(_FORMS)
            forms = ", ".join(f"{form} (line {lines[form]})" for form, _ in common)
            yield f"{column}: {counted(len(cells), 'cell')} such as {forms}{_WANTED.get(column, '')}"

    def _near(self) -> Iterator[str]:
        """What the near misses have in common, and what heals them."""
        for why, count in Counter(miss.differs_in for _, _, miss in self.near).items():
            yield f"{counted(count, 'patient')} by {why}"

    def _films(self) -> str:
        refused = f"; {counted(self.people.refused, 'other file')}" if self.people.refused else ""
        subjects = counted(len(self.people.filmed.film_days), "subject")
        return f"films       {counted(self.people.films, 'file')} of {subjects}{refused}"

    def _table(self) -> Iterator[str]:
        rows, columns = self.sheet.sheet.rows, self.sheet.sheet.columns
        patients = len({self.sheet.film_id(row.get(PATIENT)) for row in rows})
        read = [name for name in columns if name in {*_READ, self.sheet.column}]
        ignored = [name for name in columns if name not in read]
        more = f"; not read: {', '.join(ignored)}" if ignored else ""
        table = f"{counted(len(rows), 'row')} of {counted(patients, 'patient')}"
        yield f"table       {table}; read: {', '.join(read)}{more}"
        if self.sheet.guesses:
            yield f"columns     taken {self.sheet.guesses}; rename them if that is wrong"
        if self.sheet.film_ids:
            typed = {normalise(row.get(PATIENT)) for row in rows}
            used = len(typed & self.sheet.film_ids.keys())
            belong = "belongs" if used == 1 else "belong"
            yield f"mapping     {used:,} of {counted(len(self.sheet.film_ids), 'line')} {belong} to the table"
        if serials := sum(is_serial(row.get("date")) for row in rows):
            yield f"days        {counted(serials, 'serial number')} of a spreadsheet, counted from 1899-12-30"

    def _values(self) -> Iterator[str]:
        if self.study.unit == "exam":
            yield self._exams()
            yield self._tubes()
            return
        values = self.outcomes.rows["t_score"].tolist()
        if not values:
            return
        rule, column = parse_rule(self.study.outcome_rule), self.sheet.column
        yield (
            f"{column:11} {min(values):g} to {max(values):g}, median {statistics.median(values):g}; {rule.text} makes "
            f"{sum(map(rule.outcome, values)):,} of {len(values):,} positive; "
            f"exactly on the limit: {sum(map(rule.tied, values)):,}"
        )
        days = self.outcomes.rows["days"].dropna().tolist()
        apart = f", {min(days):g} to {max(days):g}" if days else ""
        yield f"film to DXA days known for {len(days):,} of {len(values):,}{apart}; window {self._window()}"
        rows = Counter(row.token for row in self.outcomes.placed if row.bin in _EXAMS)
        if several := sum(count > 1 for count in rows.values()):
            were = "was" if several == 1 else "were"
            yield f"several     {counted(several, 'subject')} {were} measured on several days"

    @property
    def usable(self) -> int:
        """Rows that a training could learn from: of exams, those that have a film."""
        return len(
            self._told_exams() & self.people.filmed.exams if self.study.unit == "exam" else self.outcomes.rows
        )

    def _told_exams(self) -> set[tuple[str, str]]:
        """Subject and exam of every row with an outcome; one that names no exam is of the subject's only one."""
        films: dict[str, list[str]] = defaultdict(list)
        for subject, exam in sorted(self.people.filmed.exams):
            films[subject].append(exam)
        rows = self.outcomes.rows
        return {
            (subject, films[subject][0] if not exam and len(films[subject]) == 1 else exam)
            for subject, exam in zip(rows["subject"], rows["exam"], strict=True)
        }

    def _exams(self) -> str:
        told, filmed = self._told_exams(), self.people.filmed.exams
        advice = ""
        if told and not told & filmed:
            advice = "; the column exam must hold the films' StudyInstanceUID, or nothing where a subject has one exam"
        return (
            f"exams       {len(told & filmed):,} of {len(told):,} with an outcome have films{advice}; "
            f"{counted(len(filmed - told), 'exam')} only in the films"
        )

    def _tubes(self) -> str:
        rows = self.outcomes.rows
        states = Counter([*rows["right"], *rows["left"]])
        blocked = rows[["right", "left"]].isin(["proximal", "distal"]).sum(axis=1)
        told = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
        return (
            f"tubes       {told}; {int((blocked == 1).sum()):,} exams with one tube occluded, "
            f"{int((blocked == 2).sum()):,} with both; {rows['rule'].iloc[0] if len(rows) else 'the rule'} makes "
            f"{int(rows['outcome'].sum()):,} of {len(rows):,} positive"
        )

    def _window(self) -> str:
        return "none" if self.study.window_days is None else f"{self.study.window_days} days"


_EXAMS = (USED, "superseded", "outside_window")


def match_report(sheet: OutcomeSheet, study: StudyConfig, people: People) -> MatchReport:
    """Match the table with the films' subjects; pseudonyms are made up and forgotten."""
    filmed = people.filmed
    outcomes = match_outcomes(sheet, study, Secret.phantom(), filmed.subjects_by_patient, filmed.film_days)
    first: dict[str, tuple[int, str]] = {}
    for row in sheet.sheet.rows:
        first.setdefault(sheet.film_id(row.get(PATIENT)), (row.line, row.get(PATIENT)))
    first.pop("", None)
    matched = {
        subject
        for patient in first
        if len(subjects := filmed.subjects_by_patient.get(patient, ())) == 1
        for subject in subjects
    }
    strangers = [patient for patient in first if patient not in filmed.subjects_by_patient]
    film_ids = FilmIds(filmed.subjects_by_patient)
    near = [(*first[patient], miss) for patient in strangers if (miss := film_ids.near(patient))]
    return MatchReport(
        sheet,
        study,
        people,
        outcomes,
        matched=len(matched),
        only_films=len(filmed.film_days.keys() - matched),
        only_sheet=len(strangers),
        near=near,
    )


def _ordered(bins: dict[str, int]) -> list[tuple[str, int]]:
    first = [(name, bins[name]) for name in (USED, MERGED) if name in bins]
    return first + sorted(item for item in bins.items() if item[0] not in (USED, MERGED))


def _form(text: str) -> str:
    """How a cell is written, without what it says: 03/04/2020 is 99/99/9999."""
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))[:_FORM_LENGTH]


def _subjects(count: int) -> str:
    return "a subject" if count == 1 else f"one of {count} subjects"


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    shown = f" (the first {_SHOWN} of {len(lines):,})" if len(lines) > _SHOWN else ""
    yield f"{title}{shown}:"
    yield from (f"  {line}" for line in lines[:_SHOWN])
