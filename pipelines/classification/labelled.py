"""Which subjects have an outcome, and which films lie outside the population that a study is meant for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.config import StudyConfig
from storage.errors import ConfigError
from storage.manifest import Store


def subject_outcomes(store: Store, study: StudyConfig) -> dict[str, int]:
    """Subject -> outcome (1 is the positive class) of every subject with an outcome and at least one film.

    A subject with several examinations takes the outcome nearest in time to its film (smallest |days|, then
    exam).
    """
    if study.unit != "subject":
        raise ConfigError(f"study.unit must be subject to classify, but is {study.unit}.")
    known = store.outcomes[store.outcomes["outcome"].isin([0, 1])]
    distance = known["days"].abs().fillna(np.inf)
    nearest = (
        known.assign(distance=distance)
        .sort_values(["subject", "distance", "exam"])
        .drop_duplicates("subject")
    )
    filmed = nearest[nearest["subject"].isin(store.manifest["subject"])]
    return {
        str(subject): int(value) for subject, value in zip(filmed["subject"], filmed["outcome"], strict=True)
    }


def outside_population(manifest: pd.DataFrame, study: StudyConfig, population: str) -> set[str]:
    """Keys of films that get no probability: children's, by argument or by the header's age."""
    if population == "child":
        return set(manifest["key"])
    return set(manifest["key"][manifest["age_years"] < study.minimum_age_years])
