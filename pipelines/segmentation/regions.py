"""Crops of the regions found on a film, at the film's own resolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PAD_SHARE = 0.05  # of the box's longer side, kept around a region: an edge is read from both its sides
PAD_PX = 4


@dataclass(frozen=True)
class RegionCrop:
    """A region of a film; the box is half open, [y0, y1) x [x0, x1), and never leaves the film."""

    index: int
    """Class in the label map."""
    y0: int
    x0: int
    y1: int
    x1: int
    image: np.ndarray
    """The film's pixels in the box, in its own depth."""
    mask: np.ndarray
    """Which of them belong to the region, boolean."""

    @property
    def area_px(self) -> int:
        """Pixels of the region."""
        return int(self.mask.sum())


def crop_regions(pixels: np.ndarray, label_map: np.ndarray, num_regions: int) -> list[RegionCrop]:
    """The regions that the label map has, in order; a missing one isn't in the list."""
    if pixels.shape != label_map.shape:
        raise ValueError(
            f"The label map must have the film's size {pixels.shape}, but has {label_map.shape}."
        )
    crops = []
    for index in range(1, num_regions + 1):
        mask = label_map == index
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            continue
        longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        pad = max(PAD_PX, round(PAD_SHARE * longer))
        y0, x0 = max(0, int(rows[0]) - pad), max(0, int(columns[0]) - pad)
        y1 = min(pixels.shape[0], int(rows[-1]) + 1 + pad)
        x1 = min(pixels.shape[1], int(columns[-1]) + 1 + pad)
        crops.append(RegionCrop(index, y0, x0, y1, x1, pixels[y0:y1, x0:x1], mask[y0:y1, x0:x1]))
    return crops
