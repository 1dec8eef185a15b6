"""A small gray picture of a film, for the tests that look at its content as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.radiograph import Pixels

SIDE_PX = 128
_UINT8_SUMMANDS = 257  # of 255 at most, whose sum has 16 bits

Gray = NDArray[np.float64]


def shrunk(pixels_HW: Pixels | NDArray[np.bool_], side_px: int = SIDE_PX) -> Gray:
    """Means over square blocks, as large as leave the shorter side `side_px` or more; what they do not fill is cut."""
    block = max(1, min(pixels_HW.shape) // side_px)
    height, width = (side // block for side in pixels_HW.shape)
    # rows first, in words as narrow as hold the sums, then column by column: several times as fast as over blocks
    narrow = pixels_HW.itemsize == 1 and block <= _UINT8_SUMMANDS
    rows_hbW = pixels_HW[: height * block].reshape(height, block, -1)
    rows_hW = rows_hbW.sum(axis=1, dtype=np.uint16 if narrow else np.uint32)
    columns_hwb = rows_hW[:, : width * block].reshape(height, width, block)
    sums_hw = np.zeros((height, width), np.uint64)
    for column in range(block):
        sums_hw += columns_hwb[:, :, column]
    means_hw: Gray = sums_hw / block**2
    return means_hw


def stretched(gray_HW: Gray) -> Gray | None:
    """Gray levels from 0 to 1 between the first and the last percent; None where they are one level."""
    ordered = np.sort(gray_HW, axis=None)
    low, high = percentile(ordered, 1), percentile(ordered, 99)
    return np.clip((gray_HW - low) / (high - low), 0, 1) if high > low else None


def percentile(ordered: Gray, percent: float) -> float:
    """`numpy.percentile` of values that are in order already: sorting is faster than its partitions."""
    place = percent / 100 * (len(ordered) - 1)
    before = int(place)
    low, high = float(ordered[before]), float(ordered[min(before + 1, len(ordered) - 1)])
    share = place - before
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)  # as numpy rounds
