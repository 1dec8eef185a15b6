"""Which subjects have an outcome, and which films lie outside the population that a study is meant for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.config import StudyConfig
from pipelines.outcomes.rule import parse_rule
from storage.errors import ConfigError
from storage.manifest import Store


def subject_outcomes(store: Store, study: StudyConfig) -> dict[str, int]:
    """Subject -> outcome (1 is the positive class) of every subject with an outcome and at least one film.

    A subject with several examinations takes the outcome nearest in time to its film (smallest |days|, then
    exam). ConfigError where the store's outcomes were made by another rule than study.outcome_rule.
    """
    check_rule(store, study)
    known = store.outcomes[store.outcomes["outcome"].isin([0, 1])]
    nearest = _nearest_first(known).drop_duplicates("subject")
    filmed = nearest[nearest["subject"].isin(store.manifest["subject"])]
    return {
        str(subject): int(value) for subject, value in zip(filmed["subject"], filmed["outcome"], strict=True)
    }


def outside_population(
    manifest: pd.DataFrame, study: StudyConfig, population: str, outcomes: pd.DataFrame
) -> set[str]:
    """Keys of films that get no probability: children's, by argument or by age.

    The age is the header's; a film without one (PNG and JPEG have none) takes its subject's in `outcomes`, at
    the exam nearest to the film that tells an age.
    """
    if population == "child":
        return set(manifest["key"])
    told = _nearest_first(outcomes).groupby("subject")["age_years"].first().astype("float64")
    age_years = manifest["age_years"].astype("float64").fillna(manifest["subject"].map(told))
    return set(manifest["key"][age_years < study.minimum_age_years])


def nearest_exams(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The known outcome nearest in time to the film, by subject: the one that classify takes."""
    known = outcomes[outcomes["outcome"].isin((0, 1))]
    return _nearest_first(known).drop_duplicates("subject").set_index("subject")


def people(store: Store) -> pd.DataFrame:
    """By subject with a film: age_years and sex (the exam's, else the films'), weight_kg, device, score (measured)."""
    films = store.manifest.groupby("subject").agg(
        film_age=("age_years", "median"), film_sex=("sex", "first"), device=("device", "first")
    )
    frame = films.join(nearest_exams(store.outcomes)[["age_years", "sex", "weight_kg", "t_score"]])
    frame["age_years"] = frame["age_years"].astype("float64").fillna(frame["film_age"].astype("float64"))
    frame["sex"] = frame["sex"].where(frame["sex"].fillna("") != "", frame["film_sex"]).fillna("")
    frame["weight_kg"] = frame["weight_kg"].astype("float64")
    return (
        frame.drop(columns=["film_age", "film_sex"])
        .assign(score=frame["t_score"].astype("float64"))
        .drop(columns="t_score")
        .sort_index()
    )


def _nearest_first(outcomes: pd.DataFrame) -> pd.DataFrame:
    distance = outcomes["days"].abs().fillna(np.inf)
    return outcomes.assign(distance=distance).sort_values(["subject", "distance", "exam"])


def check_rule(store: Store, study: StudyConfig) -> None:
    """ConfigError where the store's outcomes were made by another rule than the study's."""
    asked = parse_rule(study.outcome_rule).text
    stored = sorted(set(store.outcomes["rule"].fillna("unknown")) - {asked})
    if stored:
        raise ConfigError(
            f"study.outcome_rule is '{asked}', but the outcomes in {store.root} were made by "
            f"'{', '.join(stored)}'; ingest again with the new rule."
        )
