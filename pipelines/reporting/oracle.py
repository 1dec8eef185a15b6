"""Phantoms' oracles read the very films that were tested, so that model and bound meet the same cases.

An AUC above a perfect reader's is a leak; by how much it may be so by chance, the women's bootstrap of the paired
difference says. One over other films, or over a whole cohort, would cry leak in every small test set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.clustered import clustered_weights, subjects_of
from pipelines.evaluation.intervals import BOOTSTRAP_SEED, percentile_interval
from pipelines.evaluation.metrics import auc
from storage.identity import Secret
from storage.manifest import Store


def oracle_of_films(table: Path, films: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Rows key, oracle, oracle_exam of these films, NaN where the phantoms' films.csv has none.

    oracle_exam counts only where an exam's films are the two in the middle: of others it is no bound.
    """
    told = pd.read_csv(table)
    secret = Secret.phantom()
    told["token"] = [secret.token(path) for path in told["path"]]
    told["frame"] -= 1  # the table counts from 1
    rows = store.manifest[store.manifest["key"].isin(films["key"])][["key", "token", "frame"]]
    rows = rows.merge(
        told[["token", "frame", "oracle", "oracle_exam", "middle"]], on=["token", "frame"], how="left"
    )
    rows["oracle_exam"] = rows["oracle_exam"].where(rows["middle"] == 1)
    return rows[["key", "oracle", "oracle_exam"]]


def oracle_levels(
    films: pd.DataFrame, exams: pd.DataFrame, scores: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """By level (film, exam) what the oracle reaches on the tested rows; a level that it can't read is left out."""
    tested = films[(films["split"] == "test") & films["probability"].notna()].merge(scores, on="key")
    bound = tested.groupby(["subject", "exam"])["oracle_exam"].agg(lambda column: column.mean(skipna=False))
    called = exams[(exams["split"] == "test") & exams["probability"].notna()]
    levels = {"film": tested, "exam": called.join(bound.rename("oracle"), on=["subject", "exam"])}
    return {
        level: _compare(rows) for level, rows in levels.items() if len(rows) and rows["oracle"].notna().all()
    }


def _compare(rows: pd.DataFrame) -> dict[str, Any]:
    """The oracle's AUC with its interval, the model's minus it, and whether that lies above 0 (a leak)."""
    outcome_N = rows["outcome"].to_numpy(np.int64)
    once = np.ones((1, len(rows)))
    weights_BN = clustered_weights(subjects_of(rows), outcome_N, BOOTSTRAP_SEED)
    names = ("oracle", "probability")
    point = {name: float(auc(outcome_N, rows[name].to_numpy(np.float64), once)[0]) for name in names}
    drawn = {name: auc(outcome_N, rows[name].to_numpy(np.float64), weights_BN) for name in names}
    gain = percentile_interval(
        point["probability"] - point["oracle"], drawn["probability"] - drawn["oracle"], lowest=-1.0
    )
    bound = percentile_interval(point["oracle"], drawn["oracle"])
    return {**bound.to_dict(), "difference": gain.to_dict(), "alarm": bool(gain.low > 0)}
