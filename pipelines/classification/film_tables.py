"""Tables of studies that read whole films by exam: a row per film, a row per exam, and what became of all films."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.classification.exams import exam_table, unmet
from pipelines.classification.rows import OUTSIDE, UNKNOWN, Origin
from pipelines.config import WHOLE
from storage.manifest import Store
from storage.schemas import EVALUABLE, EXAMS, REGIONS

if TYPE_CHECKING:  # a report needs no torch
    from pipelines.classification.film_trial import FilmSelection

NO_OUTCOME = "no outcome of its exam"
NOT_CHOSEN = "not among the films that the study reads of an exam"


def film_table(scored: pd.DataFrame, origin: Origin) -> pd.DataFrame:
    """Rows in the schema REGIONS of scored films: subject, exam, key, outcome, probability; NaN is not evaluable."""
    evaluable = scored["probability"].notna()
    table: pd.DataFrame = scored.assign(region=WHOLE[0], evaluable=evaluable, **asdict(origin))[REGIONS.names]
    return table


def exam_rows(films: pd.DataFrame, chosen: FilmSelection, store: Store) -> pd.DataFrame:
    """Rows in the schema EXAMS, by subject and exam: the mean over its films, called at the exams' threshold.

    films: rows of `film_table`. An exam none of whose films has a probability is called -1.
    """
    columns = ["outcome", "fold", "repeat", "seed", "method", "split"]
    grouped = films.groupby(["subject", "exam"], sort=True)
    exams = grouped[columns].first()
    exams["probability"] = grouped["probability"].mean()
    exams["films_used"] = grouped["probability"].count()
    exams["threshold"] = chosen.exam_threshold
    called = (exams["probability"] >= chosen.exam_threshold).astype("int64")
    exams["prediction"] = called.where(exams["probability"].notna(), UNKNOWN)
    tubes = exam_table(store).set_index(["subject", "exam"])[["right", "left"]]
    table: pd.DataFrame = exams.join(tubes).reset_index()[EXAMS.names]
    return table


def evaluable_films(store: Store, read: Collection[str], reason: Mapping[str, str]) -> pd.DataFrame:
    """Rows in the schema EVALUABLE, one per film of the store. read: keys with a prediction; reason: of others."""
    films = store.manifest[["key", "subject"]].sort_values(["subject", "key"], ignore_index=True)
    evaluable = films["key"].isin(read)
    said = films["key"].map(lambda key: reason.get(key, NOT_CHOSEN))
    table: pd.DataFrame = films.assign(evaluable=evaluable, reason=said.where(~evaluable, ""))
    ordered: pd.DataFrame = table[EVALUABLE.names]
    return ordered


def reasons(store: Store, train: pd.DataFrame, outside: Collection[str]) -> dict[str, str]:
    """Why films have no prediction of the stage classify, by key. train: rows of films; outside: keys."""
    exams = exam_table(store).set_index(["subject", "exam"])["outcome"]
    pairs = pd.MultiIndex.from_frame(store.manifest[["subject", "exam"]])
    without = (exams.reindex(pairs) == UNKNOWN).to_numpy()
    why = dict.fromkeys(store.manifest["key"][without], NO_OUTCOME)
    return why | dict.fromkeys(outside, OUTSIDE) | dict.fromkeys(train["key"], "trained the model")


def flow(store: Store, parts: Mapping[str, pd.DataFrame], outside: Collection[str]) -> dict[str, Any]:
    """Women, exams and films at every step, for the flow chart (STARD); and rows of outcomes that meet no exam.

    parts: by name the rows (subject, exam, key) of the films that were read, no film in two of them. outside: keys
    of films outside the intended population.
    """
    films = store.manifest[["subject", "exam", "key"]]
    outcomes = exam_table(store).set_index(["subject", "exam"])["outcome"]
    known = (outcomes.reindex(pd.MultiIndex.from_frame(films[["subject", "exam"]])) != UNKNOWN).to_numpy()
    read = films[films["key"].isin({key for rows in parts.values() for key in rows["key"]})]
    steps = {"store": films, "with_outcome": films[known], "without_outcome": films[~known], "read": read}
    counted = {name: _counts(rows) for name, rows in {**steps, **parts}.items()}
    wanted = known if "train" in parts else np.ones(len(films), np.bool_)  # new films need no outcome
    left_out, too_young = wanted & ~films["key"].isin(read["key"]), films["key"].isin(outside)
    counted["outside"] = _counts(films[left_out & too_young])
    counted["not_chosen"] = _counts(films[left_out & ~too_young])
    return {"counts": counted, "outcomes_without_exam": unmet(store)}


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    return {
        "women": rows["subject"].nunique(),
        "exams": len(rows[["subject", "exam"]].drop_duplicates()),
        "films": len(rows),
    }


def worst_first(films: pd.DataFrame) -> pd.DataFrame:
    """Films by how far their probability lies from the outcome; without one, the least sure first."""
    known = films["outcome"] != UNKNOWN
    miss = np.where(
        known, (films["probability"] - films["outcome"]).abs(), 0.5 - (films["probability"] - 0.5).abs()
    )
    order = np.lexsort((films["key"].to_numpy(str), -miss, ~known))
    return films.iloc[order].reset_index(drop=True)
