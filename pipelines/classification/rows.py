"""Rows of regions.parquet, subjects.parquet and evaluable.parquet: who has no probability has a row too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from pipelines.classification.aggregate import mean_over_bones
from pipelines.classification.select import Selection
from pipelines.config import StudyConfig
from pipelines.evaluation.metrics import Floats, Ints
from storage.errors import InputError
from storage.manifest import Store

UNKNOWN = -1  # of an outcome or a prediction
NO_OUTCOMES = "no outcomes to learn from"
NOT_FOUND = "no region found"
OUTSIDE = "outside the intended population"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where predictions come from: columns that all rows of one fold share."""

    fold: int
    repeat: int
    seed: int
    method: str
    split: str


def film_rows(
    store: Store, regions: pd.DataFrame, outcomes: Mapping[str, int], outside: set[str]
) -> pd.DataFrame:
    """One row per film and region: subject, exam, key, region, found, outcome, evaluable.

    regions: the index of a segmentation, restricted to the films wanted. outside: keys of films that get no
    probability.
    """
    films = store.manifest.set_index("key")
    rows = regions[["subject", "key", "region", "found"]].copy()
    rows["exam"] = rows["key"].map(films["exam"]).fillna("")
    rows["outcome"] = rows["subject"].map(pd.Series(outcomes, dtype="int64")).fillna(UNKNOWN).astype("int64")
    rows["evaluable"] = rows["found"] & ~rows["key"].isin(outside)
    # Stable: regions of a film keep the study's order, in which the segmentation wrote them.
    return rows.sort_values(["subject", "key"], kind="stable", ignore_index=True)


def check_segmented(store: Store, regions: pd.DataFrame, keys: set[str]) -> None:
    """Raise InputError unless each of the films has been segmented."""
    missing = keys - set(regions["key"])
    if missing:
        raise InputError(
            f"{len(missing)} of {len(keys)} films in generation {store.generation} of {store.root} have not "
            "been segmented; run radmill segment again."
        )


def region_table(rows: pd.DataFrame, probability_N: Floats, origin: Origin) -> pd.DataFrame:
    """Rows in the schema REGIONS; `probability_N` belongs to the evaluable rows, in their order."""
    table = rows.drop(columns="found").assign(probability=np.nan, **asdict(origin))
    table.loc[table["evaluable"], "probability"] = probability_N
    return table


def subject_table(
    regions: pd.DataFrame, threshold: float, cortical: pd.DataFrame, origin: Origin
) -> pd.DataFrame:
    """Rows in the schema SUBJECTS, by subject: the mean over the bones found, and yes or no at the threshold.

    regions: rows of `region_table`. cortical: mci2 and mci2_flag by subject. A subject without a bone is not
    evaluable: probability NaN, prediction -1. `spread` is NaN: the segmenter gives one label map per film, so
    no masks are there to vary over.
    """
    table = regions.drop_duplicates("subject")[["subject", "outcome"]].set_index("subject")
    found = regions[regions["evaluable"]]
    subjects, probability = mean_over_bones(found["subject"].to_numpy(str), found["probability"].to_numpy())
    table["probability"] = pd.Series(probability, index=subjects, dtype="float64")
    called = (table["probability"] >= threshold).astype("int64")
    table["prediction"] = called.where(table["probability"].notna(), UNKNOWN)
    table["regions_used"] = found.groupby("subject")["region"].nunique().reindex(table.index, fill_value=0)
    return table.join(cortical).reset_index().assign(spread=np.nan, threshold=threshold, **asdict(origin))


def evaluable_table(rows: pd.DataFrame, outside: set[str], otherwise: str = "") -> pd.DataFrame:
    """Rows in the schema EVALUABLE, one per film; `otherwise`: the reason where the film gives none."""
    films = rows.groupby(["subject", "key"], sort=True)["evaluable"].any().reset_index()
    reason = np.where(films["key"].isin(outside), OUTSIDE, np.where(films["evaluable"], otherwise, NOT_FOUND))
    return films.assign(reason=reason, evaluable=films["evaluable"] & (reason == ""))


def region_indices(rows: pd.DataFrame, study: StudyConfig) -> Ints:
    """Position of each row's region in the study's list (N)."""
    position = {name: index for index, name in enumerate(study.regions)}
    return np.asarray(rows["region"].map(position).to_numpy(np.int64))


def fold_row(chosen: Selection, origin: Origin) -> dict[str, float]:
    """A row in the schema FOLDS."""
    row = asdict(chosen)
    where = {"repeat": origin.repeat, "fold": origin.fold, "seed": origin.seed}
    return where | {"train": row.pop("subjects"), "train_positive": row.pop("positive")} | row
