"""Embeddings of every bone found: all there is where no probability may be given, or none can be learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.classification.config import ClassificationConfig
from pipelines.classification.cortical import subject_indices
from pipelines.classification.features import region_features
from pipelines.classification.finished import read_part
from pipelines.classification.labelled import outside_population
from pipelines.classification.rows import (
    NO_OUTCOMES,
    Origin,
    check_segmented,
    evaluable_table,
    film_rows,
    region_table,
    subject_table,
)
from pipelines.config import StudyConfig
from pipelines.evaluation.metrics import Floats
from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import Segmentation, regions_of
from storage.manifest import Store
from storage.schemas import EMBEDDINGS, EVALUABLE, REGIONS, SUBJECTS
from storage.tables import write_table


def embed(
    store: Store,
    segmentation: Segmentation,
    encoder: Path,
    folder: Path,
    config: ClassificationConfig,
    study: StudyConfig,
    population: str = "adult",
    progress: Progress = silent,
) -> str:
    """Write embeddings.parquet, and the tables of `classify` with no film evaluable and the reason why.

    Returns a line that sums it up.
    """
    bones, segmentation = segmentation, regions_of(store.root, segmentation, config.regions)
    check_segmented(store, segmentation.regions, set(store.manifest["key"]))
    outside = outside_population(store.manifest, study, population, store.outcomes)
    rows = film_rows(store, segmentation.regions, {}, outside)
    found = rows[rows["found"]]
    features_ND = region_features(store, segmentation, encoder, found, config, progress)
    write_embeddings(folder, found, features_ND)
    write_table(folder / "evaluable.parquet", evaluable_table(rows, outside, NO_OUTCOMES), EVALUABLE)
    method = str(read_part(encoder, "encoder")[0]["method"])
    origin = Origin(fold=0, repeat=0, seed=0, method=method, split="new")
    cortical = subject_indices(bones, sorted(set(rows["subject"])), outside)
    regions = region_table(rows.assign(evaluable=False), np.empty(0), origin)
    write_table(folder / "regions.parquet", regions, REGIONS)
    subjects = subject_table(regions, float("nan"), cortical, origin)
    write_table(folder / "subjects.parquet", subjects, SUBJECTS)
    without = rows["key"].nunique() - len(outside)
    why = [f"{len(outside):,} outside the intended population"] if outside else []
    why += [f"{without:,} without outcomes to learn from"] if without else []
    films = f"embeddings of {len(found):,} regions in {rows['key'].nunique():,} films"
    return f"{films}, no probability: {', '.join(why)}"


def write_embeddings(folder: Path, rows: pd.DataFrame, features_ND: Floats) -> None:
    """Write embeddings.parquet: key, subject, region and vector of each row."""
    table = rows[["key", "subject", "region"]].assign(vector=list(features_ND.astype(np.float32)))
    write_table(folder / "embeddings.parquet", table, EMBEDDINGS)
