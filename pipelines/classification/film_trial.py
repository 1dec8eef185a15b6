"""One method, trained and tested once on whole films: women are split, films are read, exams are called.

A fifth of the women is tested; of the others a fifth is held out of training and chooses the weights, a logit
calibration of the films' probabilities (the losses that down-weight easy films are no proper scores, so only
calibrated probabilities may be averaged), and the thresholds of films and of exams.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.classification.exams import FilmSet, check_whole, labelled_films
from pipelines.classification.film_model import FilmNet, load_net
from pipelines.classification.supervised import check_input, probabilities, train_films
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.config import StudyConfig
from pipelines.evaluation.calibration import fit_platt, recalibrated
from pipelines.evaluation.thresholds import choose_threshold
from pipelines.pretraining.origin import origin_of
from pipelines.progress import Progress, silent
from pipelines.training.session import Session
from storage.errors import ConfigError, InputError
from storage.manifest import Store
from storage.splits import check_leaks, make_splits

SEED = 2023  # of what supervised.seed does not vary
TEST_FOLDS, INNER_FOLDS = 5, 5  # a fifth tests, a fifth of the others is held out of training
LEAST = 7  # women of each class: with two tested, five are left for the inner folds


@dataclass(frozen=True, kw_only=True)
class FilmSelection:
    """What the held-out women chose; slope and intercept are NaN without a calibration."""

    film_threshold: float
    exam_threshold: float
    slope: float
    intercept: float
    women: int
    exams: int
    positive: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trained model in eval mode, who was in which part, and scored films (see `score`) of two of them."""

    model: FilmNet
    train: FilmSet
    held_out: FilmSet
    test: FilmSet
    chosen: FilmSelection
    validated: pd.DataFrame
    tested: pd.DataFrame


def run_trial(
    store: Store,
    out: Path,
    study: StudyConfig,
    config: SupervisedConfig,
    session: Session,
    progress: Progress = silent,
) -> Trial:
    """Train into `out`, or go on there; choose on the held-out women, score the test women.

    Under protocol=paper the test women choose the weights, nothing is calibrated, and thresholds are 0.5.
    """
    check_whole(study)
    check_input(config)
    if (by := origin_of(config.initial_weights, store, config.section).outcomes_by) is not None:
        raise InputError(
            f"supervised.initial_weights={config.initial_weights} has learnt from outcomes ({by}); begin from weights "
            "that were trained without."
        )
    films = labelled_films(store, study, config.input_size, progress)
    train, held_out, test = split_films(films, config, store.manifest)
    own = replace(config, seed=SEED if config.seed_controls == "split" else config.seed)
    paper = config.protocol == "paper"
    if paper:
        train = FilmSet(
            pd.concat([train.rows, held_out.rows], ignore_index=True),
            np.concatenate([train.images_NSS, held_out.images_NSS]),
        )
    train_films(train, test if paper else held_out, out, own, session, progress)
    model = load_net(out, config)  # as predict and evaluate will read it, wherever it was trained
    held_out_N = probabilities(model, held_out)
    chosen = choose(held_out, held_out_N, calibrate=not paper)
    return Trial(
        model=model,
        train=train,
        held_out=held_out,
        test=test,
        chosen=chosen,
        validated=score(held_out, held_out_N, chosen),
        tested=score(test, probabilities(model, test), chosen),
    )


def split_films(
    films: FilmSet, config: SupervisedConfig, manifest: pd.DataFrame
) -> tuple[FilmSet, FilmSet, FilmSet]:
    """Training, held-out and test films, by woman, stratified by whether any of her exams is positive.

    seed_controls=init: the same women for every seed, as the paper had them.
    """
    seed = SEED if config.seed_controls == "init" else config.seed
    women = {str(s): int(o) for s, o in films.rows.groupby("subject")["outcome"].max().items()}
    _check_women(women)
    outer = make_splits(women, TEST_FOLDS, seed)
    outer = outer[outer["fold"] == 0]
    check_leaks(outer, manifest)
    learning = {s: women[s] for s in outer.loc[outer["split"] == "train", "subject"]}
    inner = make_splits(learning, INNER_FOLDS, seed)
    inner = inner[inner["fold"] == 0]
    held_out = set(inner.loc[inner["split"] == "test", "subject"])
    return films.of(set(learning) - held_out), films.of(held_out), films.of(set(women) - set(learning))


def choose(held_out: FilmSet, probability_N: NDArray[np.float64], calibrate: bool) -> FilmSelection:
    """Calibration by film, then thresholds by best macro-F1 of calibrated films and of exams; 0.5 without."""
    slope, intercept = fit_platt(held_out.outcome_N, probability_N) if calibrate else (np.nan, np.nan)
    films = held_out.rows.assign(probability=recalibrated(probability_N, slope, intercept))
    exams = at_level(films, "exam")
    rule = "f1" if calibrate else "0.5"
    film, exam = (
        choose_threshold(rows["outcome"].to_numpy(np.int64), rows["probability"].to_numpy(), rule)
        for rows in (films, exams)
    )
    return FilmSelection(
        film_threshold=film,
        exam_threshold=exam,
        slope=slope,
        intercept=intercept,
        women=films["subject"].nunique(),
        exams=len(exams),
        positive=int(exams["outcome"].sum()),
    )


def score(films: FilmSet, probability_N: NDArray[np.float64], chosen: FilmSelection) -> pd.DataFrame:
    """Rows of the films with their calibrated probability."""
    return films.rows.assign(probability=recalibrated(probability_N, chosen.slope, chosen.intercept))


def at_level(scored: pd.DataFrame, level: str) -> pd.DataFrame:
    """A row per film, or per exam with the mean probability of its films."""
    if level == "film":
        return scored
    grouped = scored.groupby(["subject", "exam"], sort=True)
    return grouped.agg(outcome=("outcome", "first"), probability=("probability", "mean")).reset_index()


def _check_women(women: dict[str, int]) -> None:
    """ConfigError where test, held-out or training women would be of one class."""
    counts = {value: list(women.values()).count(value) for value in (0, 1)}
    rare = min(counts, key=lambda value: counts[value])
    if counts[rare] < LEAST:
        raise ConfigError(
            f"Whole films need at least {LEAST} women of each class, so that training, held-out and test women "
            f"hold both, but {counts[rare]} of {len(women)} have outcome {rare}; give more, or use another "
            "study.outcome_rule."
        )
