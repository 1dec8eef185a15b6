"""A finished model over new films with outcomes: nothing is refitted, the threshold is the model's own."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.folders import opened_store
from jobs.predict import check as check_predict
from jobs.predict import over_new_films


def check(settings: Settings) -> None:
    """As predict; and the store has outcomes of subjects whom the model has never seen."""
    check_predict(settings)
    if settings.study.whole_films:
        from pipelines.classification.exams import exams_to_evaluate

        exams_to_evaluate(Path(str(settings.model)), opened_store(settings), settings.study)
        return
    from pipelines.classification.described import outcomes_to_evaluate

    outcomes_to_evaluate(Path(str(settings.model)), opened_store(settings), settings.study)


def main(settings: Settings) -> int:
    """`radmill evaluate model=DIR store=DIR out=DIR`: OUT/evaluate/metrics.json beside the predictions."""
    return over_new_films("evaluate", settings)
