"""From bones to a subject: the mean of the probabilities of all its bones that were found."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.evaluation.metrics import Floats


def mean_over_bones(subject_N: npt.NDArray[np.str_], probability_N: Floats) -> tuple[list[str], Floats]:
    """Subjects in order of their names, and the mean probability of each.

    Bones of one subject are correlated: the mean steadies a probability, but seven bones are not seven
    subjects.
    """
    subjects, codes_N = np.unique(subject_N, return_inverse=True)
    totals = np.bincount(codes_N, weights=probability_N, minlength=len(subjects))
    return subjects.tolist(), totals / np.bincount(codes_N, minlength=len(subjects))
