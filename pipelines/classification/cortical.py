"""The second metacarpal's cortical index (2MCI) per subject: the reading to compare the network with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.classification.rows import OUTSIDE
from pipelines.segmentation.cortical import cortical_index
from pipelines.segmentation.stored import Segmentation

REGION = "metacarpal2"
NO_REGION = "not in this study"
NOT_FOUND = "not found"
UNMEASURED = "no cortex to measure"


def subject_indices(segmentation: Segmentation, subjects: list[str], outside: set[str]) -> pd.DataFrame:
    """mci2 and mci2_flag by subject: the mean over its films, or NaN and the reason why there is none.

    outside: keys of films that are not read, being outside the intended population.
    """
    regions = segmentation.regions
    bones = regions[(regions["region"] == REGION) & regions["subject"].isin(subjects)]
    table = pd.DataFrame(index=pd.Index(subjects, name="subject"))
    if bones.empty:
        return table.assign(mci2=np.nan, mci2_flag=NO_REGION)
    inside = bones[~bones["key"].isin(outside)]
    found = inside[inside["found"]]
    values = [cortical_index(*segmentation.read_region(row)) for _, row in found.iterrows()]
    by_subject = pd.Series(values, index=found["subject"], dtype="float64").groupby(level=0).mean()
    table["mci2"] = by_subject.reindex(table.index)
    unread = np.where(table.index.isin(by_subject.index), UNMEASURED, NOT_FOUND)
    missing = np.where(table.index.isin(inside["subject"]), unread, OUTSIDE)
    return table.assign(mci2_flag=np.where(table["mci2"].notna(), "", missing))
