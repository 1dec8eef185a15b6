"""A finished model over new films: it finds the bones, reads them and keeps its threshold and calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipelines.classification.cortical import subject_indices
from pipelines.classification.described import check_study, met_before, outcomes_to_evaluate, told_of
from pipelines.classification.embed import write_embeddings
from pipelines.classification.features import region_features
from pipelines.classification.finished import FinishedModel
from pipelines.classification.labelled import outside_population, people
from pipelines.classification.rows import (
    UNKNOWN,
    Origin,
    evaluable_table,
    film_rows,
    fold_row,
    region_indices,
    region_table,
    subject_table,
)
from pipelines.config import StudyConfig
from pipelines.evaluation.config import FIXED_CONTRAST, EvaluationConfig
from pipelines.evaluation.intervals import BOOTSTRAP_SEED
from pipelines.evaluation.ledger import lock, record
from pipelines.evaluation.protocols import Background, evaluate_subjects
from pipelines.outcomes.rule import parse_rule
from pipelines.progress import Progress, silent
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.segment import segment_store
from pipelines.segmentation.stored import INFO, open_segmentation, regions_of
from storage.atomic import write_json
from storage.manifest import Store
from storage.schemas import EVALUABLE, FOLDS, REGIONS, SUBJECTS
from storage.tables import write_table


def predict(
    model: Path,
    store: Store,
    folder: Path,
    study: StudyConfig,
    population: str = "adult",
    progress: Progress = silent,
) -> str:
    """Write {regions,subjects,evaluable,embeddings}.parquet for every film; return a line that sums it up.

    Films outside the intended population get embeddings, but no probability.
    """
    finished = _load(model, study)
    _, subjects = _apply(finished, model, store, folder, {}, population, progress)
    evaluable = int(subjects["probability"].notna().sum())
    positive = int((subjects["prediction"] == 1).sum())
    return (
        f"{evaluable:,} of {len(subjects):,} subjects evaluable, {positive:,} called positive "
        f"(probability at least {finished.chosen.threshold:.3f}){_of_few_bones(subjects, finished)}"
        f"{_of_unknown_age(store, study, population)}"
    )


def _of_few_bones(subjects: pd.DataFrame, finished: FinishedModel) -> str:
    """How many were read from less than half of the bones: of a film that shows no hand, a bone may be found, too."""
    bones = len(finished.study.names(finished.config.regions))
    few = int((subjects["probability"].notna() & (2 * subjects["regions_used"] < bones)).sum())
    return f"; {few:,} read from fewer than half of the {bones} bones: look at the films" if few else ""


def _of_unknown_age(store: Store, study: StudyConfig, population: str) -> str:
    """How many count as adults without anybody knowing."""
    unknown = int(people(store)["age_years"].isna().sum())
    if not unknown or population == "child" or not study.minimum_age_years:
        return ""
    return f"; the age of {unknown:,} is unknown, and they are read as adults (for children say population=child)"


def evaluate(
    model: Path,
    store: Store,
    folder: Path,
    study: StudyConfig,
    population: str = "adult",
    progress: Progress = silent,
    config: EvaluationConfig | None = None,
) -> str:
    """The same with outcomes; metrics.json beside it holds every measure of `evaluate_subjects`.

    Raises InputError where the store has no outcomes, or where the model has learnt from its
    subjects or films.
    """
    finished, config = _load(model, study), config or EvaluationConfig()
    if config.contrast == "age_sex":  # which would have to be fitted on those who are tested
        config = replace(config, contrast=FIXED_CONTRAST)
    protocol = {
        "primary": "AUC",
        "contrast": config.contrast,
        "model": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
        "study": asdict(study),
    }
    identity = lock(store.root, protocol)
    write_json(folder / "protocol.json", {"id": identity, **protocol})
    outcomes = outcomes_to_evaluate(model, store, study)
    regions, subjects = _apply(finished, model, store, folder, outcomes, population, progress)
    folds = pd.DataFrame([fold_row(finished.chosen, _origin(finished))])
    write_table(folder / "folds.parquet", folds, FOLDS)
    record(store.root, identity, subjects)
    limit = parse_rule(study.outcome_rule).limit
    num_regions = len(study.names(finished.config.regions))
    background = Background(people=people(store), limit=limit, num_regions=num_regions, config=config)
    metrics = evaluate_subjects(subjects, BOOTSTRAP_SEED, regions, folds, background=background)
    metrics["met_before"] = met_before(model, store, outcomes)
    write_json(folder / "metrics.json", metrics)
    auc, n = metrics["auc"], metrics["n"]
    return (
        f"AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}) in {n['evaluable']} of "
        f"{n['subjects']} subjects, {n['positive']} positive{_at_threshold(metrics, finished)}"
        f"{told_of(metrics['met_before'])}"
    )


def _at_threshold(metrics: Mapping[str, Any], finished: FinishedModel) -> str:
    shares = (metrics["threshold"][name] for name in ("sensitivity", "specificity"))
    sensitivity, specificity = (f"{share['count']} of {share['total']}" for share in shares)
    return (
        f"; at the frozen threshold of {finished.chosen.threshold:.3f} finds {sensitivity} positives and clears "
        f"{specificity} negatives"
    )


def _load(model: Path, study: StudyConfig) -> FinishedModel:
    check_study(model, study)
    return FinishedModel.load(model)


def _apply(
    finished: FinishedModel,
    model: Path,
    store: Store,
    folder: Path,
    outcomes: Mapping[str, int],
    population: str,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Segment, read, write the tables; `split` is test for the subjects in `outcomes`, new for others."""
    segmented = segment_store(store, model, finished.study, SegmentationConfig(), progress)
    bones = open_segmentation(store.root, segmented.name)
    write_json(folder / INFO, {"model_id": segmented.name, "model": str(model.resolve())})
    segmentation = regions_of(store.root, bones, finished.config.regions)
    outside = outside_population(store.manifest, finished.study, population, store.outcomes)
    rows = film_rows(store, segmentation.regions, outcomes, outside)
    found = rows[rows["found"]]
    features_ND = region_features(store, segmentation, model, found, finished.config, progress)
    write_embeddings(folder, found, features_ND)
    with threadpool_limits(1):  # as in training: the same sums in the same order
        read = replace(finished.study, regions=finished.study.names(finished.config.regions))
        probability_N = finished.head.probability(features_ND, region_indices(found, read))
    origin = _origin(finished)
    regions = _split(region_table(rows, probability_N[found["evaluable"]], origin))
    cortical = subject_indices(bones, sorted(set(rows["subject"])), outside)
    subjects = _split(subject_table(regions, finished.chosen.threshold, cortical, origin))
    write_table(folder / "regions.parquet", regions, REGIONS)
    write_table(folder / "subjects.parquet", subjects, SUBJECTS)
    write_table(folder / "evaluable.parquet", evaluable_table(rows, outside), EVALUABLE)
    return regions, subjects


def _split(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split=np.where(table["outcome"] == UNKNOWN, "new", "test"))


def _origin(finished: FinishedModel) -> Origin:
    return Origin(fold=0, repeat=0, seed=0, method=finished.method, split="new")
