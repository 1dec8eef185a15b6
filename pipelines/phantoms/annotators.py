"""Annotators: each moves the true outline smoothly, far in doubtful places, hardly along a clear shaft.

a1 is generous everywhere; care, and how far from the film's border the forearm ends, are each annotator's
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats, Labels
from pipelines.phantoms.filters import blurred, clouds

# displacements are in pixels of an adult's film of 512 rows, where metacarpal 3 has this length
REFERENCE_METACARPAL3_PX = 143
CLEAR_SD = 0.14
DOUBT_SD = 2.3
GENEROUS = 0.6
BORDER_DOUBT = 4.0
REGIONS = range(1, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How one annotator draws.

    bias: outward shift everywhere; care: factor on the random displacement; border: width left out at the
    border.
    """

    bias: float
    care: float
    border: float


def annotate(
    rng: np.random.Generator,
    truth_HW: Labels,
    doubt_HW: Floats,
    annotators: int,
    metacarpal3_px: float,
) -> list[Labels]:
    """Return a label map per annotator, HxW uint8; errors scale with the hand."""
    unit = metacarpal3_px / REFERENCE_METACARPAL3_PX
    outlines = list(_outlines(truth_HW, unit))
    habits = [_habit(rng, number) for number in range(annotators)]
    return [_draw(rng, outlines, doubt_HW, habit, unit) for habit in habits]


def _habit(rng: np.random.Generator, number: int) -> Habit:
    bias = GENEROUS + rng.normal(0, 0.05) if number == 1 else rng.normal(-0.05, 0.08)
    return Habit(bias=bias, care=rng.uniform(0.8, 1.2), border=rng.uniform(0, BORDER_DOUBT))


def _outlines(truth_HW: Labels, unit: float) -> Iterator[tuple[int, tuple[slice, slice], Floats]]:
    """Region, window and signed distance to the true outline of every region on the film."""
    margin = int(np.ceil(4 * DOUBT_SD * unit)) + 3
    for region in REGIONS:
        window = _window(truth_HW == region, margin)
        if window is not None:
            yield region, window, _signed_distance(truth_HW[window] == region)


def _draw(
    rng: np.random.Generator,
    outlines: list[tuple[int, tuple[slice, slice], Floats]],
    doubt_HW: Floats,
    habit: Habit,
    unit: float,
) -> Labels:
    """Shift every outline by a field of its own; where two bones claim a pixel, the deeper one has it."""
    mask = np.zeros(doubt_HW.shape, np.uint8)
    deepest = np.zeros(doubt_HW.shape, np.float32)
    for region, window, distance in outlines:
        cells = max(3, round(distance.shape[1] / (16 * max(unit, 0.4))))
        spread = (CLEAR_SD + DOUBT_SD * doubt_HW[window]) * habit.care
        depth = distance + unit * (habit.bias + spread * clouds(rng, distance.shape, cells))
        wins = depth > deepest[window]
        mask[window][wins] = region
        deepest[window][wins] = depth[wins]
    return _without_border(mask, round(habit.border * unit))


def _window(mask_HW: Labels, margin: int) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    if rows.size == 0:
        return None
    y0, x0 = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return slice(int(y0), int(rows[-1]) + margin + 1), slice(int(x0), int(columns[-1]) + margin + 1)


def _signed_distance(mask_HW: Labels) -> Floats:
    """Distance to the outline in pixels, positive inside; smooth, so that half a pixel moves slanted edges."""
    inside = mask_HW.astype(np.uint8)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    beyond = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    return blurred(np.where(inside > 0, within - 0.5, 0.5 - beyond).astype(np.float32), 0.8)


def _without_border(mask_HW: Labels, rows: int) -> Labels:
    if rows > 0:
        for edge in (mask_HW[:rows], mask_HW[-rows:], mask_HW[:, :rows], mask_HW[:, -rows:]):
            edge[:] = 0
    return mask_HW
