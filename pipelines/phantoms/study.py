"""Which phantoms a study has: hands, or hysterosalpingographies. Imports either only when asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipelines.config import StudyConfig
from pipelines.outcomes.rule import parse_rule
from pipelines.phantoms.config import PhantomsConfig
from storage.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.phantoms.cohort import CohortSummary

STUDIES = ("hand", "hsg")


def cohort_writer(study: str) -> Callable[..., CohortSummary]:
    """`write_cohort` of the study's phantoms; ConfigError where it has none."""
    if study == "hsg":
        from pipelines.phantoms.hsg.cohort import write_cohort as write_hsg

        return write_hsg
    _check(study)
    from pipelines.phantoms.cohort import write_cohort

    return write_cohort


class Foreseen(NamedTuple):
    """What a cohort will hold: films (of a loop every frame), subjects with a known outcome, positives among them."""

    films: int
    subjects: int
    positives: int


def foreseen(config: PhantomsConfig, study: StudyConfig) -> Foreseen:
    """The counts of a cohort before any film is drawn: its people are drawn, which takes a moment."""
    if study.name == "hsg":
        from pipelines.phantoms.hsg.foreseen import foreseen_exams

        films, positive = foreseen_exams(config, parse_rule(study.outcome_rule).text)
        return Foreseen(films, len(positive), sum(positive))
    from pipelines.phantoms.film import subject_of

    rule = parse_rule(study.outcome_rule)
    people = [subject_of(config, number) for number in range(config.subjects + config.unlabelled)]
    labelled = [one for one in people if one.labelled]
    positives = sum(rule.outcome(round(one.health.t_score, 2)) for one in labelled)
    return Foreseen(sum(len(one.sides) for one in people), len(labelled), positives)


def preview_writer(study: str) -> Callable[..., Path]:
    """`write_preview` of the study's phantoms; ConfigError where it has none."""
    if study == "hsg":
        from pipelines.phantoms.hsg.preview import write_preview as write_hsg

        return write_hsg
    _check(study)
    from pipelines.phantoms.preview import write_preview

    return write_preview


def _check(study: str) -> None:
    if study != "hand":
        raise ConfigError(f"There are phantoms of {' and '.join(STUDIES)}, none of the study {study}.")
