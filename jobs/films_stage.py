"""The stage classify of studies that read whole films by exam, and their finished models over new films."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import initial_weights
from jobs.run_dir import StageFolder
from jobs.session import local_session
from pipelines.progress import Progress
from storage.config import SplitConfig
from storage.errors import ConfigError

if TYPE_CHECKING:
    from storage.manifest import Store


def check_settings(settings: Settings) -> None:
    """ConfigError for what has no effect where whole films are read."""
    plain, asked = asdict(SplitConfig()), asdict(settings.splits)
    if typed := [f"splits.{name}={asked[name]}" for name in plain if asked[name] != plain[name]]:
        raise ConfigError(
            f"{', '.join(typed)} has no effect on study={settings.study.name}, which tests a fifth of the women once; "
            "supervised.seed and supervised.seed_controls=split choose who they are. Leave it out."
        )
    if settings.population == "child":
        raise ConfigError(
            f"population=child is for hands; study={settings.study.name} has study.minimum_age_years instead."
        )


def check(store: Store, settings: Settings) -> None:
    """The study reads whole films by exam, and exams have outcomes by its rule."""
    from pipelines.classification.exams import check_whole, exam_outcomes

    check_whole(settings.study)
    check_settings(settings)
    exam_outcomes(store, settings.study)


def classify_films(flow: Flow, store: Store) -> StageFolder:
    """OUT/classify/: the finished model, a row per film and per exam, the measures, where the model looks."""
    settings = flow.settings
    check_settings(settings)

    def action(folder: Path, progress: Progress) -> str:
        from pipelines.classification.film_classify import classify_films as train

        with local_session() as session:
            return train(store, folder, settings.supervised, settings.study, session, progress)

    inputs = {"store": store.fingerprint(), "outcomes": store.outcomes_fingerprint()}
    inputs |= initial_weights(settings.supervised.initial_weights)
    return flow.stage("classify", sections=("supervised",), inputs=inputs, action=action)


def over_new_films(
    job: str, model: Path, store: Store, folder: Path, settings: Settings, progress: Progress
) -> str:
    """What predict and evaluate do with a model of whole films."""
    from pipelines.classification.film_predict import evaluate_films, predict_films

    apply = evaluate_films if job == "evaluate" else predict_films
    return apply(model, store, folder, settings.study, settings.population, progress)
