"""A finished model over new films: threshold, calibration and preprocessing stay frozen."""

from __future__ import annotations

from pathlib import Path

from jobs import films_stage
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import check_model, existing, held, model_fingerprint, opened_store
from jobs.progress import console
from pipelines.progress import Progress


def check(settings: Settings) -> None:
    """There are a store and a finished model of this study."""
    from pipelines.classification.described import check_body_parts, check_study

    check_body_parts(opened_store(settings), settings.study)
    if settings.study.whole_films:
        films_stage.check_settings(settings)
    check_model(model := existing(str(settings.model), "model"), "model", "classify")
    check_study(model, settings.study)


def main(settings: Settings) -> int:
    """`radmill predict model=DIR store=DIR out=DIR`: OUT/predict/{regions,subjects}.parquet."""
    return over_new_films("predict", settings)


def over_new_films(job: str, settings: Settings) -> int:
    """What predict and evaluate share: the same frozen model, without and with outcomes."""
    from storage.manifest import Store

    model, store_root, out = Path(str(settings.model)), Path(str(settings.store)), Path(str(settings.out))
    store = Store.open(store_root)

    def action(folder: Path, progress: Progress) -> str:
        if settings.study.whole_films:
            return films_stage.over_new_films(job, model, store, folder, settings, progress)
        from pipelines.classification import predict as frozen

        arguments = (model, store, folder, settings.study, settings.population, progress)
        if job == "evaluate":
            return frozen.evaluate(*arguments, settings.evaluation)
        return frozen.predict(*arguments)

    with held(job, out, store_root):
        inputs = {
            "store": store.fingerprint(),
            "outcomes": store.outcomes_fingerprint(),
            "model": model_fingerprint(model),
            "population": settings.population,
        }
        sections = ("evaluation",) if job == "evaluate" else ()
        made = Flow(out, settings).stage(job, sections=sections, inputs=inputs, action=action)
    console.print(f"Tables: {made.path}", markup=False)
    return 0
