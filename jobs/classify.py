"""A probability per region and subject from frozen features; embeddings alone where there is nothing to predict."""

from __future__ import annotations

from pathlib import Path

from jobs import films_stage
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import (
    check_stage_model,
    held,
    model_fingerprint,
    opened_store,
    segmentation_id,
    segmented_by,
)
from jobs.run_dir import StageFolder
from jobs.session import local_session
from pipelines.progress import Progress


def check(settings: Settings) -> None:
    """There is a store; this run has segmented it and has an encoder; the outcomes are by the study's rule."""
    from pipelines.classification.labelled import subject_outcomes
    from pipelines.segmentation.stored import open_segmentation

    store, out = opened_store(settings), Path(str(settings.out))
    if settings.study.whole_films:
        films_stage.check(store, settings)
        return
    open_segmentation(store.root, segmentation_id(out))
    check_stage_model(out, "pretrain")
    if settings.population == "adult":
        subject_outcomes(store, settings.study)


def main(settings: Settings) -> int:
    """`radmill classify store=DIR out=DIR`; the encoder is OUT/pretrain, after SupCon each fold's below it."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("classify", out, store):
        classify(Flow(out, settings), store)
    return 0


def classify(flow: Flow, store_root: Path) -> StageFolder:
    """OUT/classify/: regions.parquet, subjects.parquet and the finished model; or embeddings.parquet alone."""
    from storage.manifest import Store

    settings, store = flow.settings, Store.open(store_root)
    if settings.study.whole_films:
        return films_stage.classify_films(flow, store)
    encoder, model_id, segmenter = flow.out / "pretrain", segmentation_id(flow.out), segmented_by(flow.out)

    tuned = settings.classification.encoder == "fine_tuned"

    def action(folder: Path, progress: Progress) -> str:
        from pipelines.classification.embed import embed
        from pipelines.classification.train import classify as train
        from pipelines.segmentation.stored import open_segmentation

        segmentation = open_segmentation(store_root, model_id)
        config, study = settings.classification, settings.study
        if settings.population == "child" or store.outcomes.empty:
            return embed(store, segmentation, encoder, folder, config, study, settings.population, progress)
        contrast = settings.evaluation.contrast
        with local_session() as session:
            return train(
                store,
                segmentation,
                segmenter,
                encoder,
                folder,
                config,
                settings.splits,
                study,
                progress,
                contrast,
                settings.supervised if tuned else None,
                session,
            )

    inputs = {
        "store": store.fingerprint(),
        "outcomes": store.outcomes_fingerprint(),
        "segmentation": model_id,
        "encoder": " ".join(map(model_fingerprint, [encoder, *sorted(encoder.glob("repeat-*"))])),
        "population": settings.population,
        "contrast": settings.evaluation.contrast,
    }
    sections = ("classification", "splits", *(("supervised",) if tuned else ()))
    return flow.stage("classify", sections=sections, inputs=inputs, action=action)
