"""Penalty, threshold and calibration of a linear layer, from inner folds of its training part alone.

Every training subject is predicted once by a layer that has not seen it; the pooled means of its bones then
serve three choices: the penalty with the least log loss (a proper score, steadier on few subjects than an
AUC), the threshold, and a logit calibration. Where the encoder has learnt from the outcomes of training subjects,
the choices are made on those that were held back from it instead (`fit_held_back`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import StratifiedKFold

from pipelines.classification.aggregate import mean_over_bones
from pipelines.classification.config import ClassificationConfig
from pipelines.classification.probe import Head, Segments, fit_heads
from pipelines.evaluation.calibration import fit_platt
from pipelines.evaluation.metrics import Floats, Ints, auc
from pipelines.evaluation.thresholds import choose_threshold
from storage.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the inner folds chose, and how well it predicted; slope and intercept are NaN without a fit."""

    l2: float
    threshold: float
    slope: float
    intercept: float
    inner_log_loss: float
    inner_auc: float
    subjects: int
    positive: int


class Fitted(NamedTuple):
    """A layer, what the inner folds chose for it, and their predictions: subject, outcome, probability."""

    head: Head
    chosen: Selection
    inner: pd.DataFrame


def fit_selected(segments: Segments, num_regions: int, config: ClassificationConfig, seed: int) -> Fitted:
    """Choose by inner folds, then fit on all segments. TrainingError where a class has too few subjects."""
    outcomes = dict(zip(segments.subject_N.tolist(), segments.outcome_N.tolist(), strict=True))
    subjects = sorted(outcomes)
    outcome_S = np.array([outcomes[subject] for subject in subjects])
    check_classes(outcome_S, config.inner_folds)
    probability_LS = _inner_probabilities(segments, subjects, outcome_S, num_regions, config, seed)
    chosen, inner = _chosen(subjects, outcome_S, probability_LS, config)
    return Fitted(fit_heads(segments, num_regions, [chosen.l2])[0], chosen, inner)


def fit_held_back(
    train: Segments, held_back: Segments, num_regions: int, config: ClassificationConfig
) -> Fitted:
    """Fit on the training subjects, choose on those held back: encoder and layer have seen no outcome of theirs.

    The inner predictions are theirs alone. TrainingError where either part lacks a class.
    """
    for name, part in (("training", train), ("held back", held_back)):
        if len(np.unique(part.outcome_N)) < 2:
            raise TrainingError(
                f"The {name} subjects with a bone found are all of one class; give more subjects, or use a method of "
                "pretraining without outcomes, such as simclr."
            )
    heads = fit_heads(train, num_regions, config.l2)
    outcomes = dict(zip(held_back.subject_N.tolist(), held_back.outcome_N.tolist(), strict=True))
    subjects = sorted(outcomes)
    outcome_S = np.array([outcomes[subject] for subject in subjects])
    probability_LS = np.stack([_of_subjects(head, held_back) for head in heads])
    chosen, inner = _chosen(subjects, outcome_S, probability_LS, config)
    learnt = dict(zip(train.subject_N.tolist(), train.outcome_N.tolist(), strict=True))
    chosen = replace(chosen, subjects=len(learnt), positive=sum(learnt.values()))
    return Fitted(heads[config.l2.index(chosen.l2)], chosen, inner)


def fit_by_validation(
    train: Segments, validation: Segments, num_regions: int, config: ClassificationConfig
) -> Fitted:
    """As the hand paper chose: the penalty with the best macro-F1 of the validation subjects, called by argmax.

    Of equals the strongest penalty. There is no calibration, and no inner prediction of the training subjects.
    TrainingError where training or validation has nothing to choose by.
    """
    learnt = dict(zip(train.subject_N.tolist(), train.outcome_N.tolist(), strict=True))
    if len(set(learnt.values())) < 2 or not len(validation.subject_N):
        raise TrainingError(
            f"The paper's protocol needs training subjects of both classes and a validation subject with a bone found, "
            f"but has {len(learnt)} training subjects, {sum(learnt.values())} positive, and "
            f"{len(set(validation.subject_N.tolist()))} validation subjects; use splits.protocol=folds."
        )
    heads = fit_heads(train, num_regions, config.l2)
    outcomes = dict(zip(validation.subject_N.tolist(), validation.outcome_N.tolist(), strict=True))
    outcome_S = np.array([outcomes[subject] for subject in sorted(outcomes)], dtype=np.int64)
    probability_LS = [_of_subjects(head, validation) for head in heads]
    gains = [f1_score(outcome_S, p_S >= 0.5, average="macro", zero_division=0) for p_S in probability_LS]
    best = max(range(len(heads)), key=lambda index: (gains[index], config.l2[index]))
    selection = Selection(
        l2=config.l2[best],
        threshold=0.5,
        slope=np.nan,
        intercept=np.nan,
        inner_log_loss=float(log_loss(outcome_S, probability_LS[best], labels=[0, 1])),
        inner_auc=float(auc(outcome_S, probability_LS[best], np.ones((1, len(outcome_S))))[0]),
        subjects=len(learnt),
        positive=sum(learnt.values()),
    )
    return Fitted(heads[best], selection, pd.DataFrame(columns=["subject", "outcome", "probability"]))


def _inner_probabilities(
    segments: Segments,
    subjects: list[str],
    outcome_S: Ints,
    num_regions: int,
    config: ClassificationConfig,
    seed: int,
) -> Floats:
    """Mean over the bones of every subject by the layer that has not seen it, per penalty (L x S)."""
    names_S = np.array(subjects)
    probability_LS = np.full((len(config.l2), len(subjects)), np.nan)
    dealer = StratifiedKFold(config.inner_folds, shuffle=True, random_state=seed)
    for train, held_out in dealer.split(names_S, outcome_S):
        unseen = segments.of(names_S[held_out])
        heads = fit_heads(segments.of(names_S[train]), num_regions, config.l2)
        for row, head in enumerate(heads):
            probability_LS[row, held_out] = _of_subjects(head, unseen)
    return probability_LS


def _chosen(
    subjects: list[str], outcome_S: Ints, probability_LS: Floats, config: ClassificationConfig
) -> tuple[Selection, pd.DataFrame]:
    """Penalty, threshold and calibration by predictions per penalty of subjects that no layer has seen."""
    losses = [float(log_loss(outcome_S, probability_S, labels=[0, 1])) for probability_S in probability_LS]
    best = int(np.argmin(losses))
    chosen_S = probability_LS[best]
    once = np.ones((1, len(subjects)))
    slope, intercept = fit_platt(outcome_S, chosen_S)
    selection = Selection(
        l2=config.l2[best],
        threshold=choose_threshold(outcome_S, chosen_S, config.threshold, config.sensitivity),
        slope=slope,
        intercept=intercept,
        inner_log_loss=losses[best],
        inner_auc=float(auc(outcome_S, chosen_S, once)[0]),
        subjects=len(subjects),
        positive=int(outcome_S.sum()),
    )
    return selection, pd.DataFrame({"subject": subjects, "outcome": outcome_S, "probability": chosen_S})


def _of_subjects(head: Head, segments: Segments) -> Floats:
    """Mean over the bones of every subject, in order of their names (S)."""
    bones_N = head.probability(segments.features_ND, segments.region_N)
    return mean_over_bones(segments.subject_N, bones_N)[1]


def check_classes(outcome_S: Ints, inner_folds: int) -> None:
    """TrainingError where a class has fewer subjects than there are inner folds."""
    counts: Mapping[int, int] = {value: int((outcome_S == value).sum()) for value in (0, 1)}
    rare = min(counts, key=lambda value: counts[value])
    if counts[rare] < inner_folds:
        raise TrainingError(
            f"A training part must hold at least classification.inner_folds={inner_folds} subjects of each "
            f"class with a bone found, but has {counts[rare]} with outcome {rare}; use fewer inner folds, or "
            "give more subjects."
        )
