"""Bones are not missing at random: who lacks some, by outcome, and what it does to the figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.evaluation.intervals import wilson


def missing_by_outcome(subjects: pd.DataFrame, num_regions: int) -> dict[str, Any]:
    """For positives and negatives the shares who lack a bone and who lack all (Wilson), each with Fisher's exact p.

    subjects: SUBJECTS, all who have an outcome, the not evaluable among them. num_regions: of the study.
    """
    each = subjects.drop_duplicates("subject")
    used, positive = each["regions_used"].to_numpy(np.int64), each["outcome"].to_numpy(np.int64) == 1
    lacking = {"some": used < num_regions, "all": used == 0}
    result: dict[str, Any] = {}
    for name, lacks in lacking.items():
        table = [[int((lacks & side).sum()), int((~lacks & side).sum())] for side in (positive, ~positive)]
        entry: dict[str, Any] = {"p": float(stats.fisher_exact(table).pvalue)}
        for side, (count, rest) in zip(("positive", "negative"), table, strict=True):
            entry[side] = {**wilson(count, count + rest).to_dict(), "count": count, "total": count + rest}
        result[name] = entry
    return result
