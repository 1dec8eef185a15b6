"""The crops that a pretraining sees, and how often each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.pretraining.crops import Crops
from pipelines.pretraining.method import UNKNOWN
from pipelines.pretraining.packed import PackedRows

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """N square crops and what is known of them."""

    images_NSS: NDArray[np.uint8] | PackedRows
    masks_NSS: NDArray[np.uint8] | PackedRows
    names: Sequence[str]
    """Film and region, for errors."""
    subject_N: Ints
    """Number of the subject, for probes and negatives."""
    region_N: Ints
    """Number of the bone."""
    outcome_N: Ints
    """1, 0, or UNKNOWN where this training may not know it."""

    def __len__(self) -> int:
        return len(self.images_NSS)

    @property
    def minority(self) -> int:
        """The outcome with fewer crops."""
        return int((self.outcome_N == 1).sum() <= (self.outcome_N == 0).sum())


def packed_samples(
    crops: Crops, chosen: Ints, outcomes: Mapping[str, int], packed: Path, side: int
) -> Samples:
    """Samples of the chosen rows of a cache, which lie packed in a file as squares of this side.

    outcomes: subject to 0 or 1, of those that may be known.
    """
    rows = crops.rows.iloc[chosen]
    return Samples(
        images_NSS=PackedRows(packed, "image", side),
        masks_NSS=PackedRows(packed, "mask", side),
        names=[f"{key} {region}" for key, region in zip(rows["key"], rows["region"], strict=True)],
        subject_N=np.unique(rows["subject"].to_numpy(str), return_inverse=True)[1].astype(np.int64),
        region_N=np.unique(rows["region"].to_numpy(str), return_inverse=True)[1].astype(np.int64),
        outcome_N=np.array([outcomes.get(subject, UNKNOWN) for subject in rows["subject"]], np.int64),
    )


def balanced(outcome_N: Ints) -> Ints:
    """Samples of an epoch: each once, those of the rarer outcome repeated until both come equally often."""
    each = np.arange(len(outcome_N))
    rare, common = sorted((np.flatnonzero(outcome_N == outcome) for outcome in (0, 1)), key=len)
    if not len(rare):
        return each
    return np.concatenate((each, np.resize(rare, len(common) - len(rare))))
