"""How well each bone alone separates the outcomes, and how many bones the subjects have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.evaluation.cohort import Cohort, mean_defined
from pipelines.evaluation.discrimination import mean_auc, paired_difference
from pipelines.evaluation.metrics import Floats, divide


def evaluate_regions(cohort: Cohort, regions: pd.DataFrame, weights_BN: Floats) -> list[dict[str, Any]]:
    """One entry per region of a REGIONS table: within-fold AUC, and mean probabilities in the first repeat.

    The means are over true positives, all positives and all subjects whose region was found: shown for the
    true positives alone, as the paper's figure 5 is, any model looks sure of itself. `without`: AUC of the mean over
    all other bones, and its difference from the whole; the layers are the same, fitted with the bone.
    """
    positive_N = cohort.outcome_N == 1
    true_positive_N = positive_N & (cohort.prediction_NR[:, 0] == 1)
    sums_NR, counts_NR = _bones(cohort, regions)
    table = []
    for region in pd.unique(regions["region"]):
        probability_NR = _by_subject(cohort, regions[regions["region"] == region])
        found_N = np.isfinite(probability_NR[:, 0])
        groups = {"true_positive": true_positive_N, "positive": positive_N, "all": np.ones_like(positive_N)}
        entry: dict[str, Any] = {"region": str(region), "auc": mean_auc(cohort, probability_NR, weights_BN)}
        for name, group_N in groups.items():
            members = probability_NR[found_N & group_N, 0]
            entry[f"n_{name}"] = len(members)
            entry[f"probability_{name}"] = float(members.mean()) if len(members) else np.nan
        own_sums_NR, own_counts_NR = _bones(cohort, regions[regions["region"] == region])
        without_NR = divide(sums_NR - own_sums_NR, counts_NR - own_counts_NR)
        entry["without"] = mean_auc(cohort, without_NR, weights_BN)
        entry["without"]["difference"] = paired_difference(cohort, without_NR, cohort.probability_NR)
        table.append(entry)
    return table


def _by_subject(cohort: Cohort, region: pd.DataFrame) -> Floats:
    """Mean probability over a subject's films (N x R), NaN where the region was not found on any."""
    tested = region[(region["split"] == "test") & region["evaluable"]]
    mean = tested.groupby(["subject", "repeat"])["probability"].mean().unstack("repeat")
    repeats = range(cohort.probability_NR.shape[1])
    return np.asarray(mean.reindex(index=cohort.subjects, columns=list(repeats)).to_numpy(np.float64))


def _bones(cohort: Cohort, regions: pd.DataFrame) -> tuple[Floats, Floats]:
    """Sum of the probabilities of a subject's bones and their number (N x R each)."""
    tested = regions[(regions["split"] == "test") & regions["evaluable"]]
    grouped = tested.groupby(["subject", "repeat"])["probability"]
    repeats = list(range(cohort.probability_NR.shape[1]))
    sums, counts = (
        part.unstack("repeat").reindex(index=cohort.subjects, columns=repeats).fillna(0).to_numpy(np.float64)
        for part in (grouped.sum(), grouped.size())
    )
    return sums, counts


def regions_found(subjects: pd.DataFrame, cohort: Cohort) -> list[dict[str, Any]]:
    """One entry per number of regions found: subjects, positives, right predictions, within-fold AUC.

    Bones are not missing at random; this table shows whether those who lack some fare worse.
    """
    first = subjects[(subjects["split"] == "test") & (subjects["repeat"] == subjects["repeat"].min())]
    used_N = first.set_index("subject")["regions_used"].reindex(cohort.subjects).to_numpy()
    table = []
    for count, group in first.groupby("regions_used"):
        members_NR = np.where((used_N == count)[:, None], cohort.probability_NR, np.nan)
        auc = mean_defined(cohort.within_fold_auc(members_NR, cohort.once))[0]
        table.append(
            {
                "regions": int(str(count)),
                "n": len(group),
                "positive": int((group["outcome"] == 1).sum()),
                "correct": int((group["prediction"] == group["outcome"]).sum()),
                "auc": float(auc),
            }
        )
    return table
