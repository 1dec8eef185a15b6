"""How a film lies: which side is up, and whether it shows a left or a right hand.

A left hand is a right hand's mirror image, and telling metacarpal 5 from metacarpal 2 needs the whole hand.
So films train as one side, told by their masks, and a new film is tried in several poses: the one that the
network is surest of, and whose regions have usual sizes (plausible.py), is read. That costs a reading more and
saves most of the training. (Trying poses at half the resolution found the side of 12 of 14 phantoms with a
briefly trained network, at the full one of all 14.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

SURE = 0.65  # score from which no quarter turn is tried
STRANGENESS_WEIGHT = (
    0.1  # of a deviation in size against confidence; half of it left one in 84 phantoms mirrored
)


def turn(mask_HW: np.ndarray, side_classes: Sequence[int]) -> int:
    """1 or -1: the sense in which the three regions' centres follow each other; 0 where one is missing."""
    centres = [np.argwhere(mask_HW == index).mean(0) for index in side_classes if (mask_HW == index).any()]
    if len(centres) < 3:
        return 0
    (y0, x0), (y1, x1), (y2, x2) = centres
    return int(np.sign((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)))


def poses(height: int, width: int, mirrored: bool) -> list[np.ndarray]:
    """2x3 matrices of the grid onto itself about its centre: as it lies, mirrored, then by quarter turns."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    sides = (1.0, -1.0) if mirrored else (1.0,)
    found = []
    for quarter in range(4):
        cosine, sine = math.cos(quarter * math.pi / 2), math.sin(quarter * math.pi / 2)
        shrink = min(height, width) / max(height, width) if quarter % 2 else 1.0
        for side in sides:
            linear = shrink * np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([side, 1.0])
            found.append(np.hstack([linear, (centre - linear @ centre)[:, None]]))
    return found


def surest(
    candidates: Sequence[np.ndarray], num_upright: int, confidence: Callable[[np.ndarray], float]
) -> int:
    """Index of the candidate of highest confidence; turned ones are tried only where no upright one is sure."""
    scores = [confidence(pose) for pose in candidates[:num_upright]]
    if max(scores) < SURE:
        scores += [confidence(pose) for pose in candidates[num_upright:]]
    return int(np.argmax(scores))


def region_confidence(probability_CHW: np.ndarray, smallest_px: float) -> float:
    """Mean over the regions of the probability inside each one's own area; a region not found counts 0."""
    classes_HW = probability_CHW.argmax(0)
    inside = [plane[classes_HW == index] for index, plane in enumerate(probability_CHW)][1:]
    return float(np.mean([values.mean() if values.size >= smallest_px else 0.0 for values in inside]))
