"""Women as the unit that is drawn, films and exams as the unit that is counted: a bootstrap that keeps women whole.

Films of an exam show the same tubes, exams of a woman often the same disease: rows are no independent subjects, and
an interval that took them for such would be too narrow.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.evaluation.intervals import RESAMPLES, Interval, bootstrap_weights, percentile_interval, wilson
from pipelines.evaluation.metrics import Floats, Ints, divide


def clustered_weights(
    subject_N: NDArray[np.str_], outcome_N: Ints, seed: int, resamples: int = RESAMPLES
) -> Floats:
    """How often each row is drawn (B x N): as often as its woman, who is drawn among those of her class.

    A woman's class is that of her worst row, so that the number of women of either class stays fixed.
    """
    women, woman_N = np.unique(subject_N, return_inverse=True)
    worst_W = np.zeros(len(women), np.int64)
    np.maximum.at(worst_W, woman_N, outcome_N)
    return bootstrap_weights(worst_W, seed, resamples)[:, woman_N]


def proportion(
    hits_N: NDArray[np.bool_], among_N: NDArray[np.bool_], subject_N: NDArray[np.str_], weights_BN: Floats
) -> dict[str, float]:
    """Share of hits among rows, with count and total; NaN of none.

    The interval is the bootstrap's over women. Where all rows or none are hits it has no width: then Wilson's, with
    as many trials as women.
    """
    count, total = int((hits_N & among_N).sum()), int(among_N.sum())
    if 0 < count < total:
        resampled_B = divide(weights_BN @ (hits_N & among_N), weights_BN @ among_N.astype(np.float64))
        interval = percentile_interval(count / total, resampled_B)
    else:
        women = len(set(subject_N[among_N]))
        interval = wilson(women if count else 0, women)
        interval = Interval(count / total if total else np.nan, interval.low, interval.high)
    return {**interval.to_dict(), "count": count, "total": total}


def subjects_of(rows: pd.DataFrame) -> NDArray[np.str_]:
    """Whose each row is, N."""
    return rows["subject"].to_numpy(str)
