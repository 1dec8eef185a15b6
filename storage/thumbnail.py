"""A small gray picture of a film, for the tests that look at its content as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.radiograph import Pixels

SIDE_PX = 128

Gray = NDArray[np.float64]


def shrunk(pixels_HW: Pixels | NDArray[np.bool_], side_px: int = SIDE_PX) -> Gray:
    """Means over square blocks, as large as leave the shorter side `side_px` or more; what they do not fill is cut."""
    block = max(1, min(pixels_HW.shape) // side_px)
    height, width = (side // block for side in pixels_HW.shape)
    # rows first: the sums run over whole rows, which is several times as fast as over blocks
    rows_hW = pixels_HW[: height * block].reshape(height, block, -1).sum(axis=1, dtype=np.uint32)
    sums_hw = rows_hW[:, : width * block].reshape(height, width, block).sum(axis=2, dtype=np.uint64)
    means_hw: Gray = sums_hw / block**2
    return means_hw


def stretched(gray_HW: Gray) -> Gray | None:
    """Gray levels from 0 to 1 between the first and the last percent; None where they are one level."""
    low, high = np.percentile(gray_HW, [1, 99])
    return np.clip((gray_HW - low) / (high - low), 0, 1) if high > low else None
