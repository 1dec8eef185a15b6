"""The measured value itself from frozen features: ridge regression on a subject's mean bone.

A linear layer averaged over bones is the same layer on the averaged bone, so each subject is one row and the penalty
is chosen by leave-one-subject-out, in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

from pipelines.classification.probe import Segments, moments
from pipelines.classification.rows import Origin
from pipelines.evaluation.metrics import Floats

ALPHAS = np.logspace(0, 6, 13)
LEAST_SUBJECTS = 10
COLUMNS = ("subject", "measured", "predicted", "fold", "repeat", "seed", "method")


def predicted_scores(
    train: Segments, test: Segments, measured: Mapping[str, float], num_regions: int, origin: Origin
) -> pd.DataFrame:
    """Rows in the schema SCORES for the test subjects whose value was measured; none with too few to learn from."""
    moments_RD = moments(train.features_ND, train.region_N, num_regions)
    names, mean_SD = _mean_bones(train, moments_RD)
    value_S = np.array([measured.get(name, np.nan) for name in names])
    known_S = np.isfinite(value_S)
    tested, unseen_SD = _mean_bones(test, moments_RD)
    if known_S.sum() < LEAST_SUBJECTS or not tested:
        return pd.DataFrame(columns=list(COLUMNS))
    model = RidgeCV(alphas=ALPHAS).fit(mean_SD[known_S], value_S[known_S])
    rows = pd.DataFrame(
        {
            "subject": tested,
            "measured": [measured.get(name, np.nan) for name in tested],
            "predicted": model.predict(unseen_SD),
        }
    )
    where = {name: value for name, value in asdict(origin).items() if name in COLUMNS}
    return rows[rows["measured"].notna()].assign(**where)


def _mean_bones(segments: Segments, moments_RD: tuple[Floats, Floats]) -> tuple[list[str], Floats]:
    """Subjects in order of their names, and the mean of their bones' standardised features (S x D)."""
    mean_RD, scale_RD = moments_RD
    standard_ND = (segments.features_ND - mean_RD[segments.region_N]) / scale_RD[segments.region_N]
    subjects, codes_N = np.unique(segments.subject_N, return_inverse=True)
    sums_SD = np.zeros((len(subjects), standard_ND.shape[1]))
    np.add.at(sums_SD, codes_N, standard_ND)
    return subjects.tolist(), sums_SD / np.bincount(codes_N, minlength=len(subjects))[:, None]
