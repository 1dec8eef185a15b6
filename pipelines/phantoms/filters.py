"""Blurs and smooth noise whose cost does not grow with their width."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats

NARROW_SIGMA = 4.0


def blurred(image_HW: Floats, sigma_px: float) -> Floats:
    """Gaussian blur of a float32 image; a wide one is made on a smaller copy."""
    shrink = 1
    while sigma_px / shrink > NARROW_SIGMA and min(image_HW.shape) // (2 * shrink) >= 8:
        shrink *= 2
    height, width = image_HW.shape
    small = image_HW
    if shrink > 1:
        small = cv2.resize(image_HW, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / shrink)
    return small if shrink == 1 else enlarged(small, image_HW.shape)


def enlarged(image_HW: Floats, shape: tuple[int, ...]) -> Floats:
    """Interpolate linearly to another size."""
    result: Floats = cv2.resize(image_HW, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return result


def clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> Floats:
    """Return smooth noise of unit variance at its knots, HxW float32; `cells` across the width."""
    rows = max(2, round(cells * shape[0] / shape[1])) + 1
    knots = rng.standard_normal((rows, cells + 1)).astype(np.float32)
    smooth: Floats = cv2.resize(knots, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return smooth
