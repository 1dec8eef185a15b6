"""Whether what was found looks like what trained: the regions' areas relative to each other.

Mirrored, a hand's bones can be named in reverse with confidence, but then the wrong ones are large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

SMALLEST_DEVIATION = 0.08  # of a log area, so that a few alike films don't make every other one strange
LARGEST = 6.0  # deviations beyond which a region is no stranger
FEWEST = 3  # regions that must be found to compare any


@dataclass(frozen=True)
class RegionSizes:
    """Mean and standard deviation per region of its log area less the mean log area of its film."""

    mean: list[float]
    deviation: list[float]

    @classmethod
    def of(cls, masks: Sequence[np.ndarray], num_regions: int) -> Self:
        """From label maps (HxW class indices); a film without all regions says nothing."""
        areas = np.array([_areas(mask, num_regions) for mask in masks]).reshape(-1, num_regions)
        whole = areas[(areas > 0).all(1)]
        if len(whole) == 0:
            return cls([0.0] * num_regions, [LARGEST] * num_regions)
        log = np.log(whole)
        log -= log.mean(1, keepdims=True)
        deviation = np.maximum(log.std(0), SMALLEST_DEVIATION)
        return cls(log.mean(0).tolist(), deviation.tolist())

    def strangeness(self, label_map: np.ndarray, smallest_px: float) -> float:
        """Root mean square over the regions found of their deviation from what trained, in deviations.

        A region under `smallest_px` isn't found; LARGEST where too few are.
        """
        area = _areas(label_map, len(self.mean))
        found = area >= max(1.0, smallest_px)
        if found.sum() < min(FEWEST, len(self.mean)):
            return LARGEST
        log, mean = np.log(area[found]), np.array(self.mean)[found]
        away = (log - log.mean() - (mean - mean.mean())) / np.array(self.deviation)[found]
        return float(np.sqrt((np.clip(away, -LARGEST, LARGEST) ** 2).mean()))


def _areas(label_map: np.ndarray, num_regions: int) -> np.ndarray:
    return np.bincount(label_map.ravel(), minlength=num_regions + 1)[1 : num_regions + 1].astype(np.float64)
