"""Which phantoms a study has: hands, or hysterosalpingographies. Imports either only when asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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
