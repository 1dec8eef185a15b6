"""Trials over seeds as a paper prints them: mean and sample SD, and differences paired by seed, part and subject.

A part is one test set: a fold of a repeat, or the one test set of a seed. Every measure is computed in each part
and averaged over the parts of a seed; mean and SD are over seeds. The SD says how much a seed matters, not how
sure the figure is: that is the interval of a difference, which has three forms:

    folds    several parts per seed: Nadeau and Bengio's corrected t over the parts' differences
    splits   one part per seed, of other subjects for each seed: the same, the seeds being random splits
    fixed    one part, the same subjects for every seed: bootstrap of the subjects, the models being given

Its n_test/n_train is counted: who tests a part, over the subjects that the part's model learnt from, of two models the
one that learnt from fewer. SupCon and fine-tuning hold some of the training part back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation import metrics
from pipelines.evaluation.cohort import mean_defined
from pipelines.evaluation.intervals import (
    BOOTSTRAP_SEED,
    Interval,
    bootstrap_weights,
    corrected_resampled_t,
    percentile_interval,
)
from pipelines.evaluation.metrics import Confusion, Floats, Ints, divide
from pipelines.evaluation.tables import PaperTable

MEASURES = ("precision", "recall", "f1", "auc", "accuracy", "auprc")
FOLDS, SPLITS, FIXED, NONE = "folds", "splits", "fixed", "none"
_PART = ["repeat", "fold"]

# By seed: rows of test predictions with unit (what is tested), subject, outcome, probability (NaN where not
# evaluable), prediction, repeat, fold, and train: how many subjects the part's model learnt from.
Tested = Mapping[int, pd.DataFrame]


def measures(
    outcome_N: Ints, probability_N: Floats, prediction_N: Ints, weights_BN: Floats
) -> dict[str, Floats]:
    """Every measure of MEASURES per weighting (B); NaN where undefined."""
    counts = Confusion.count(outcome_N, prediction_N, weights_BN)
    shares = counts.proportions()
    return {
        "precision": divide(*shares["ppv"]),
        "recall": divide(*shares["sensitivity"]),
        "f1": counts.composites()["f1"],
        "auc": metrics.auc(outcome_N, probability_N, weights_BN),
        "accuracy": divide(*shares["accuracy"]),
        "auprc": metrics.average_precision(outcome_N, probability_N, weights_BN),
    }


def table(asked: PaperTable, tested: Mapping[str, Tested]) -> list[dict[str, Any]]:
    """A dict per row that has predictions: `summarise`, and where it is taken from another row, `difference`.

    tested: by name of the trial.
    """
    found = []
    for row in asked.rows:
        if row.trial not in tested:
            continue
        result: dict[str, Any] = {"row": row.name, **summarise(tested[row.trial])}
        if row.minus is not None and row.minus in tested:
            result["minus"] = row.minus
            result |= difference(tested[row.trial], tested[row.minus])
        found.append(result)
    return found


def summarise(tested: Tested) -> dict[str, Any]:
    """mean and sd {measure: value} over seeds, undefined {measure: parts}, seeds, parts, and counts of one repeat.

    n, positive and not_evaluable are those of all parts of the first seed's first repeat.
    """
    known = {seed: _known(rows) for seed, rows in tested.items()}
    by_part = {seed: [_values(part) for _, part in rows.groupby(_PART)] for seed, rows in known.items()}
    per_seed = pd.DataFrame([pd.DataFrame(parts).mean() for parts in by_part.values()], columns=[*MEASURES])
    every = pd.DataFrame([values for parts in by_part.values() for values in parts], columns=[*MEASURES])
    first = tested[min(tested)]
    first = first[first["repeat"] == first["repeat"].min()]
    counted = _known(first)
    return {
        "seeds": sorted(tested),
        "parts": len(every),
        "n": len(counted),
        "positive": int(counted["outcome"].sum()),
        "not_evaluable": len(first) - len(counted),
        "mean": {name: float(per_seed[name].mean()) for name in MEASURES},
        "sd": {name: float(per_seed[name].std(ddof=1)) for name in MEASURES},
        "undefined": {name: int(every[name].isna().sum()) for name in MEASURES},
    }


def difference(first: Tested, second: Tested) -> dict[str, Any]:
    """difference {measure: {value, low, high}} of the first minus the second, kind, and paired units.

    Only seeds that both have count, and units that both could read.
    """
    pairs = {seed: _paired(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())}
    kind = _kind(pairs)
    found = _bootstrapped(pairs) if kind == FIXED else _resampled(pairs, kind)
    units = len(pairs[min(pairs)]["unit"].unique()) if pairs else 0
    return {"difference": {n: i.to_dict() for n, i in found.items()}, "kind": kind, "paired": units}


def _known(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["probability"].notna()]


def _values(part: pd.DataFrame, suffix: str = "") -> dict[str, float]:
    once = np.ones((1, len(part)))
    return {name: float(values_B[0]) for name, values_B in _measured(part, suffix, once).items()}


def _measured(part: pd.DataFrame, suffix: str, weights_BN: Floats) -> dict[str, Floats]:
    return measures(
        part["outcome"].to_numpy(np.int64),
        part[f"probability{suffix}"].to_numpy(np.float64),
        part[f"prediction{suffix}"].to_numpy(np.int64),
        weights_BN,
    )


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Rows of units that both could read, of the same part."""
    other = _known(second)[["unit", *_PART, "probability", "prediction", "train"]]
    return (
        _known(first).merge(other, on=["unit", *_PART], suffixes=("", "_other")).sort_values([*_PART, "unit"])
    )


def _kind(pairs: Mapping[int, pd.DataFrame]) -> str:
    folds = [rows["fold"].nunique() for rows in pairs.values()]
    if folds and min(folds) > 1:
        return FOLDS
    if not folds or max(folds) > 1 or min(folds) == 0:
        return NONE
    once = all(rows["repeat"].nunique() == 1 for rows in pairs.values())
    if once and len({tuple(rows["unit"]) for rows in pairs.values()}) == 1:
        return FIXED
    return SPLITS


def _same_tests(pairs: Mapping[int, pd.DataFrame]) -> bool:
    """True where every seed tested the same units in the same folds."""
    tests = (rows[[*_PART, "unit"]].itertuples(index=False, name=None) for rows in pairs.values())
    return len(set(map(tuple, tests))) == 1


def _resampled(pairs: Mapping[int, pd.DataFrame], kind: str) -> dict[str, Interval]:
    """Nadeau and Bengio over the parts: a row of the matrix for each seed and repeat; with SPLITS one of all seeds.

    Seeds that tested the same folds are averaged first: they say nothing new of other subjects.
    """
    gains: list[dict[str, Any]] = []
    shares = []
    for seed, rows in pairs.items():
        for (repeat, fold), part in rows.groupby(_PART):
            own, other = _values(part), _values(part, "_other")
            shares.append(part["subject"].nunique() / part[["train", "train_other"]].to_numpy().min())
            gains.append(
                {
                    "seed": seed,
                    "repeat": repeat,
                    "fold": fold,
                    **{name: own[name] - other[name] for name in MEASURES},
                }
            )
    frame, rounds = pd.DataFrame(gains, columns=["seed", *_PART, *MEASURES]), ["seed", "repeat"]
    if _same_tests(pairs):
        frame, rounds = frame.groupby(_PART, as_index=False)[list(MEASURES)].mean(), ["repeat"]
    found = {}
    for name in MEASURES:
        if kind == FOLDS:
            gain_RF = frame.pivot(index=rounds, columns="fold", values=name).to_numpy(np.float64)
        else:
            gain_RF = frame[name].to_numpy(np.float64)[None]
        if gain_RF.size and kind != NONE:
            t = corrected_resampled_t(gain_RF, float(np.mean(shares)))
            found[name] = Interval(t.value, max(t.low, -1.0), min(t.high, 1.0))
        else:
            found[name] = Interval(np.nan, np.nan, np.nan)
    return found


def _bootstrapped(pairs: Mapping[int, pd.DataFrame]) -> dict[str, Interval]:
    """Subjects of the one test set redrawn, all their units together; the mean over seeds of the difference."""
    rows = pairs[min(pairs)]
    subjects, place_N = np.unique(rows["subject"].to_numpy(str), return_inverse=True)
    outcome_S = np.zeros(len(subjects), dtype=np.int64)
    np.maximum.at(outcome_S, place_N, rows["outcome"].to_numpy(np.int64))
    drawn_BS = np.vstack([np.ones((1, len(subjects))), bootstrap_weights(outcome_S, BOOTSTRAP_SEED)])
    weights_BN = drawn_BS[:, place_N]
    gains: dict[str, list[Floats]] = {name: [] for name in MEASURES}
    for part in pairs.values():
        own, other = _measured(part, "", weights_BN), _measured(part, "_other", weights_BN)
        for name in MEASURES:
            gains[name].append(own[name] - other[name])
    found = {}
    for name in MEASURES:
        mean_B = mean_defined(np.stack(gains[name], axis=1))
        found[name] = percentile_interval(float(mean_B[0]), mean_B[1:], lowest=-1.0)
    return found
