"""The linear layer on frozen features: one for all regions, on features standardised within each region.

Bones differ in look far more than outcomes do; without a mean and a scale per region, the layer would spend
its weights on telling a radius from a metacarpal. Means and scales come from the training part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from pipelines.evaluation.calibration import sigmoid
from pipelines.evaluation.metrics import Floats, Ints

MAX_STEPS = 2000


@dataclass(frozen=True, kw_only=True)
class Segments:
    """N bone segments of subjects with outcome: features_ND, index of the region, subject and its outcome."""

    features_ND: Floats
    region_N: Ints
    subject_N: npt.NDArray[np.str_]
    outcome_N: Ints

    def of(self, subjects: Sequence[str]) -> Segments:
        """The segments of these subjects."""
        chosen_N = np.isin(self.subject_N, list(subjects))
        return Segments(
            features_ND=self.features_ND[chosen_N],
            region_N=self.region_N[chosen_N],
            subject_N=self.subject_N[chosen_N],
            outcome_N=self.outcome_N[chosen_N],
        )


@dataclass(frozen=True, kw_only=True)
class Head:
    """A fitted linear layer: P = sigmoid(weight_D . (x - mean_RD[region]) / scale_RD[region] + bias)."""

    weight_D: Floats
    bias: float
    mean_RD: Floats
    scale_RD: Floats

    def probability(self, features_ND: Floats, region_N: Ints) -> Floats:
        """Probability of the positive outcome per segment (N)."""
        standard_ND = (features_ND - self.mean_RD[region_N]) / self.scale_RD[region_N]
        return sigmoid(standard_ND @ self.weight_D + self.bias)


def fit_heads(segments: Segments, num_regions: int, l2: Sequence[float]) -> list[Head]:
    """One layer per penalty, in their order, minimising mean log loss + l2 / 2 * squared norm of weights."""
    mean_RD, scale_RD = moments(segments.features_ND, segments.region_N, num_regions)
    standard_ND = (segments.features_ND - mean_RD[segments.region_N]) / scale_RD[segments.region_N]
    model = LogisticRegression(max_iter=MAX_STEPS, warm_start=True)
    heads = {}
    # From the strongest penalty to the weakest: each solution is a good start for the next.
    for penalty in sorted(set(l2), reverse=True):
        model.set_params(C=1 / (penalty * len(standard_ND))).fit(standard_ND, segments.outcome_N)
        heads[penalty] = Head(
            weight_D=model.coef_[0].copy(),
            bias=float(model.intercept_[0]),
            mean_RD=mean_RD,
            scale_RD=scale_RD,
        )
    return [heads[penalty] for penalty in l2]


def moments(features_ND: Floats, region_N: Ints, num_regions: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation per region (R x D each); with fewer than two segments, those of all."""
    mean_RD = np.repeat(features_ND.mean(axis=0)[None], num_regions, axis=0)
    scale_RD = np.repeat(features_ND.std(axis=0)[None], num_regions, axis=0)
    for region in range(num_regions):
        members_MD = features_ND[region_N == region]
        if len(members_MD) >= 2:
            mean_RD[region], scale_RD[region] = members_MD.mean(axis=0), members_MD.std(axis=0)
    return mean_RD, np.where(scale_RD > 0, scale_RD, 1.0)
