"""A finished model of whole films over new films: calibration and thresholds stay frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.classification.described import check_study, met_before
from pipelines.classification.exams import check_whole, exam_table, exams_to_evaluate, read_films
from pipelines.classification.film_classify import PRIMARY, told, write_metrics
from pipelines.classification.film_finished import FinishedFilmModel
from pipelines.classification.film_maps import write_maps
from pipelines.classification.film_tables import evaluable_films, exam_rows, film_table, flow
from pipelines.classification.film_trial import score
from pipelines.classification.labelled import outside_population
from pipelines.classification.rows import OUTSIDE, UNKNOWN, Origin
from pipelines.classification.supervised import probabilities
from pipelines.config import StudyConfig
from pipelines.evaluation.ledger import lock, record
from pipelines.progress import Progress, silent
from storage.atomic import write_json
from storage.errors import InputError
from storage.manifest import Store
from storage.schemas import EVALUABLE, EXAMS, REGIONS
from storage.tables import write_table


def predict_films(
    model: Path,
    store: Store,
    folder: Path,
    study: StudyConfig,
    population: str = "adult",
    progress: Progress = silent,
) -> str:
    """Write {regions,exams,evaluable}.parquet, flow.json and maps for every exam; return a line that sums it up.

    Films outside the intended population get no probability.
    """
    _, exams = _apply(_load(model, study), store, folder, {}, population, progress)
    evaluable, positive = int(exams["probability"].notna().sum()), int((exams["prediction"] == 1).sum())
    return f"{evaluable:,} of {len(exams):,} exams evaluable, {positive:,} called positive"


def evaluate_films(
    model: Path,
    store: Store,
    folder: Path,
    study: StudyConfig,
    population: str = "adult",
    progress: Progress = silent,
) -> str:
    """The same with outcomes; metrics.json beside it holds every measure of `evaluate_levels`.

    Raises InputError where the store has no outcomes, or where the model has learnt from its women or films.
    """
    finished = _load(model, study)
    protocol = {
        "primary": PRIMARY,
        "model": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
        "study": asdict(study),
    }
    identity = lock(store.root, protocol)
    write_json(folder / "protocol.json", {"id": identity, **protocol})
    outcomes = exams_to_evaluate(model, store, study)
    films, exams = _apply(finished, store, folder, outcomes, population, progress)
    record(store.root, identity, exams)
    met = met_before(model, store, {subject for subject, _ in outcomes})
    return told(write_metrics(folder, films, exams, finished.chosen, met=met))


def _load(model: Path, study: StudyConfig) -> FinishedFilmModel:
    check_study(model, study)
    finished = FinishedFilmModel.load(model)
    check_whole(finished.study)
    return finished


def _apply(
    finished: FinishedFilmModel,
    store: Store,
    folder: Path,
    outcomes: Mapping[tuple[str, str], int],
    population: str,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the films, write the tables; `split` is test for the exams in `outcomes`, new for others."""
    table = exam_table(store)
    wanted = dict.fromkeys(zip(table["subject"], table["exam"], strict=True), UNKNOWN) | dict(outcomes)
    if not wanted:
        raise InputError(f"{store.root} holds no films; ingest some first.")
    read = read_films(store, finished.study, finished.config.input_size, wanted, progress)
    outside = outside_population(store.manifest, finished.study, population, store.outcomes)
    scored = score(read, probabilities(finished.model, read), finished.chosen)
    scored["probability"] = scored["probability"].where(~scored["key"].isin(outside))
    films = _split(film_table(scored, _origin(finished)))
    exams = _split(exam_rows(films, finished.chosen, store))
    write_table(folder / "regions.parquet", films, REGIONS)
    write_table(folder / "exams.parquet", exams, EXAMS)
    seen = set(films["key"][films["evaluable"]])
    write_table(
        folder / "evaluable.parquet", evaluable_films(store, seen, dict.fromkeys(outside, OUTSIDE)), EVALUABLE
    )
    told = films[films["evaluable"]]
    parts = {name: rows for name in ("test", "new") if len(rows := told[told["split"] == name])}
    write_json(folder / "flow.json", flow(store, parts, outside))
    if films["evaluable"].any():
        write_maps(folder, store, finished.model, read, films)
    return films, exams


def _split(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(split=np.where(table["outcome"] == UNKNOWN, "new", "test"))


def _origin(finished: FinishedFilmModel) -> Origin:
    return Origin(fold=0, repeat=0, seed=finished.config.seed, method=finished.method, split="new")
