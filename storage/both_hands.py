"""Whether a film shows two hands side by side, told by its content."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from storage.thumbnail import Gray, percentile, stretched

HAND_PARTS = ("", "hand", "wrist", "finger", "forearm")  # body parts of which two may be on one film

_MARGIN = 0.06
_CONTRAST = 0.12
_LIKENESS = 0.5  # correlation of one silhouette with the other's mirror image


def shows_both_hands(gray_HW: Gray) -> bool:
    """Whether two separate bright silhouettes of like size mirror each other across a dark gap.

    gray_HW: the film, shrunk, its polarity settled. False wherever it is unsure.
    """
    cut = round(_MARGIN * min(gray_HW.shape))
    inner_HW = stretched(gray_HW[cut:-cut, cut:-cut])
    if inner_HW is None:
        return False
    bright_HW = inner_HW > percentile(np.sort(inner_HW, axis=None), 20) + _CONTRAST
    labels_HW, pieces = ndimage.label(bright_HW)
    if pieces < 2:
        return False
    areas = np.bincount(labels_HW.ravel())[1:]
    second, first = np.argsort(areas)[-2:]
    if areas[second] < 0.6 * areas[first] or areas[second] < 0.06 * inner_HW.size:
        return False
    if areas[first] + areas[second] < 0.8 * bright_HW.sum():
        return False
    boxes = ndimage.find_objects(labels_HW)
    left, right = sorted((first, second), key=lambda piece: boxes[piece][1].start)
    return _face_each_other(inner_HW, labels_HW, boxes, int(left), int(right))


def _face_each_other(
    gray_HW: Gray, labels_HW: NDArray[np.integer], boxes: list[tuple[slice, slice]], left: int, right: int
) -> bool:
    left_box, right_box = boxes[left], boxes[right]
    if left_box[1].stop > right_box[1].start:  # no column of air between them
        return False
    heights = [box[0].stop - box[0].start for box in (left_box, right_box)]
    if min(heights) < 0.5 * gray_HW.shape[0] or min(heights) < 0.75 * max(heights):
        return False
    one_HW = labels_HW[left_box] == left + 1
    other_HW = (labels_HW[right_box] == right + 1)[:, ::-1]
    if one_HW.all() or other_HW.all():  # a filled rectangle is no hand
        return False
    scale = [side / like for side, like in zip(one_HW.shape, other_HW.shape, strict=True)]
    fitted_HW = ndimage.zoom(other_HW.astype(np.float64), scale, order=1)
    likeness = np.corrcoef(one_HW.ravel(), fitted_HW.ravel())[0, 1]
    return bool(likeness > _LIKENESS)
