"""Test predictions of a cohort as arrays: N evaluable subjects in R repeats, in one fold per repeat each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.evaluation.intervals import fold_widening
from pipelines.evaluation.metrics import Floats, Ints, auc, divide
from storage.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """What every measure is computed from. Subjects without a probability are counted elsewhere.

    probability_NR, fold_NR and prediction_NR hold one column per repeat; each subject is tested once in every
    repeat. learnt: by (repeat, fold) how many subjects its layer learnt from, where these are not all others.
    """

    subjects: list[str]
    outcome_N: Ints
    probability_NR: Floats
    fold_NR: Ints
    prediction_NR: Ints
    learnt: Mapping[tuple[int, int], int] | None = None

    @classmethod
    def from_table(cls, subjects: pd.DataFrame, folds: pd.DataFrame | None = None) -> Cohort:
        """Cohort of a SUBJECTS table. InputError unless every subject is tested once in every repeat.

        folds: a FOLDS table, whose `train` says how many subjects a fold's layer learnt from; None: all others.
        """
        tested = subjects[(subjects["split"] == "test") & subjects["probability"].notna()]
        counts = tested.groupby(["subject", "repeat"]).size()
        num_repeats = tested["repeat"].nunique()
        if (counts != 1).any() or len(counts) != num_repeats * tested["subject"].nunique():
            raise InputError(
                "Every subject must be tested exactly once in every repeat, "
                "but some are tested twice or never; run classify again."
            )
        wide = tested.sort_values(["subject", "repeat"])
        shape = (-1, max(num_repeats, 1))
        return cls(
            subjects=wide["subject"].drop_duplicates().tolist(),
            outcome_N=wide["outcome"].to_numpy(np.int64).reshape(shape)[:, 0],
            probability_NR=wide["probability"].to_numpy(np.float64).reshape(shape),
            fold_NR=wide["fold"].to_numpy(np.int64).reshape(shape),
            prediction_NR=wide["prediction"].to_numpy(np.int64).reshape(shape),
            learnt=None if folds is None else _learnt(folds),
        )

    @property
    def once(self) -> Floats:
        """The weighting of the point value: every subject once (1 x N)."""
        return np.ones((1, len(self.subjects)))

    @property
    def widening(self) -> float:
        """How much wider than the bootstrap's the intervals of trained scores are; see `fold_widening`."""
        return self.widened()

    def widened(self, share: float = 1.0) -> float:
        """The same for scores that learnt from this share of the layer's subjects."""
        return fold_widening(len(np.unique(self.fold_NR)), self.test_over_train / share)

    @property
    def test_over_train(self) -> float:
        """Subjects who test a fold over those its layer learnt from, as the mean over folds: sites differ in size."""
        if len(np.unique(self.fold_NR)) < 2:
            return 1.0
        total, learnt = len(self.subjects), self.learnt or {}
        folds = self.fold_members(np.zeros(self.fold_NR.shape))
        return float(
            np.mean([len(m) / learnt.get((repeat, fold), total - len(m)) for repeat, fold, m in folds])
        )

    @property
    def is_fixed(self) -> bool:
        """Whether one model tested everyone once, so that no subject trained what tests another."""
        return self.fold_NR.shape[1] == 1 and len(np.unique(self.fold_NR)) == 1

    def within_fold_auc(self, score_NR: Floats, weights_BN: Floats) -> Floats:
        """AUC of a score in every fold of every repeat (B x folds), NaN where a fold lacks a class."""
        columns = [
            auc(self.outcome_N[members], score_NR[members, repeat], weights_BN[:, members])
            for repeat, _, members in self.fold_members(score_NR)
        ]
        return np.stack(columns, axis=1) if columns else np.full((len(weights_BN), 1), np.nan)

    def fold_members(self, score_NR: Floats) -> list[tuple[int, int, Ints]]:
        """Repeat, fold and rows of its test subjects whose score is known, in order of repeat and fold."""
        known_NR = np.isfinite(score_NR)
        return [
            (repeat, int(fold), np.flatnonzero((self.fold_NR[:, repeat] == fold) & known_NR[:, repeat]))
            for repeat in range(self.fold_NR.shape[1])
            for fold in np.unique(self.fold_NR[:, repeat])
        ]


def _learnt(folds: pd.DataFrame) -> dict[tuple[int, int], int]:
    return {(int(row["repeat"]), int(row["fold"])): int(row["train"]) for row in folds.to_dict("records")}


def mean_defined(values_BK: Floats) -> Floats:
    """Mean of the defined values of each row (B); NaN where none is."""
    defined_BK = np.isfinite(values_BK)
    count_B = defined_BK.sum(axis=1)
    total_B = np.where(defined_BK, values_BK, 0).sum(axis=1)
    return divide(total_B, count_B.astype(np.float64))
