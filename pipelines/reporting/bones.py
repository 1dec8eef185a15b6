"""Predicted probability per region in three populations: the paper's figure 5 and two that make it honest.

The paper shows true positives alone: chosen by the prediction, they are high by construction. Beside them
stand all positives and all subjects. A predicted probability is no contribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipelines.reporting.spread import mean_interval

POPULATIONS = ("true positives", "all positives", "all subjects")


def subject_means(subjects: pd.DataFrame, splits: Sequence[str] = ("test",)) -> pd.DataFrame:
    """One row per subject, indexed by it: means over its tests; called: what most repeats say (0 or 1)."""
    tested = subjects[subjects["split"].isin(splits)]
    means = tested.groupby("subject").agg(
        outcome=("outcome", "first"),
        probability=("probability", "mean"),
        probability_sd=("probability", "std"),
        spread=("spread", "mean"),
        threshold=("threshold", "mean"),
        called=("prediction", "mean"),
        repeats=("repeat", "nunique"),
        regions_used=("regions_used", "max"),
        mci2=("mci2", "first"),
        mci2_flag=("mci2_flag", "first"),
    )
    means["outcome"] = means["outcome"].where(means["outcome"].isin((0, 1)))
    means["called"] = (means["called"] > 0.5).astype(int).where(means["probability"].notna())
    return means


def region_means(regions: pd.DataFrame, order: list[str], splits: Sequence[str] = ("test",)) -> pd.DataFrame:
    """Mean probability over films and repeats: a row per subject, a column per region in order."""
    tested = regions[regions["split"].isin(splits) & regions["evaluable"].astype(bool)]
    wide = tested.pivot_table(index="subject", columns="region", values="probability", aggfunc="mean")
    return wide.reindex(columns=order)


def populations(means: pd.DataFrame, by_region: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean, 95 % interval and n subjects per region for every population."""
    aligned = means.reindex(by_region.index)
    positive = aligned["outcome"] == 1
    members = (positive & (aligned["called"] == 1), positive, aligned["outcome"].notna())
    return [
        {
            "population": name,
            "subjects": int(chosen.sum()),
            "regions": [
                {"region": region, **mean_interval(by_region[region][chosen].to_numpy(float))}
                for region in by_region.columns
            ],
        }
        for name, chosen in zip(POPULATIONS, members, strict=True)
    ]
