"""The table of outcomes as it was handed over: its columns checked, its patients under the films' ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.config import StudyConfig
from pipelines.ingest.sheet import Sheet, column_name, read_sheet
from pipelines.outcomes.rule import TUBE_RULES, parse_rule
from storage.errors import ConfigError, InputError
from storage.identity import normalise

PATIENT = "patient_id"
# What tables call these columns too, in one spelling; taken where a table has one of them alone, and said.
OTHER_NAMES = {
    PATIENT: (
        "patientid",
        "patient",
        "patient_number",
        "patient_no",
        "patient_nr",
        "pat_id",
        "patid",
        "pid",
        "mrn",
        "id",
    ),
    "t_score": (
        "tscore",
        "t",
        "t_value",
        "t_wert",
        "t_score_min",
        "lowest_t_score",
        "min_t_score",
        "dxa_t_score",
    ),
}


@dataclass(frozen=True, slots=True)
class OutcomeSheet:
    """The table, the column with the measured value, and the films' ids by the table's (empty: they are the same)."""

    sheet: Sheet
    column: str
    film_ids: Mapping[str, str]

    @property
    def guesses(self) -> str:
        """Which columns were taken for those that are needed; empty where they are called so."""
        return ", ".join(f"{typed} as {needed}" for needed, typed in self.sheet.guessed.items())

    def film_id(self, patient: str) -> str:
        """How the films call a patient of the table; normalised."""
        typed = normalise(patient)
        return self.film_ids.get(typed, typed)


def read_outcome_sheet(path: Path, study: StudyConfig, mapping: Path | None = None) -> OutcomeSheet:
    """Read the table, and the mapping of its ids, before any film is read.

    InputError where a column is missing, ConfigError where exams have a rule that is not one of theirs.
    """
    rule = parse_rule(study.outcome_rule)
    if study.unit == "exam" and rule.text not in TUBE_RULES:
        raise ConfigError(
            f"study.outcome_rule must be {', '.join(TUBE_RULES[:-1])} or {TUBE_RULES[-1]} where every exam has an "
            f"outcome of its own, but is '{rule.text}'; given takes the 0 and 1 of a column as they stand."
        )
    column = column_name(study.outcome_column)
    needed = ("right", "left") if rule.text in ("any_tube", "both_tubes") else (column,)
    others = {name: OTHER_NAMES[name] for name in (PATIENT, *needed) if name in OTHER_NAMES}
    sheet = read_sheet(path, "outcomes", (PATIENT, *needed), others)
    return OutcomeSheet(sheet, column, read_mapping(mapping) if mapping else {})


def read_mapping(path: Path) -> dict[str, str]:
    """Normalised id of the table -> normalised id of the films, from the columns sheet_id and film_id.

    InputError where a line lacks either, or one id of the table is given two.
    """
    sheet = read_sheet(path, "mapping", ("sheet_id", "film_id"))
    film_ids: dict[str, str] = {}
    for row in sheet.rows:
        typed, film_id = normalise(row.get("sheet_id")), normalise(row.get("film_id"))
        if not typed or not film_id:
            raise InputError(f"Line {row.line} of {sheet.what} must hold a sheet_id and a film_id.")
        if film_ids.setdefault(typed, film_id) != film_id:
            raise InputError(
                f"Line {row.line} of {sheet.what} gives one sheet_id a second film_id; keep one."
            )
    return film_ids
