"""Soft tissue along the ray: as thick as the hand, rounded off towards the skin."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats, Labels
from pipelines.phantoms.camera import Camera
from pipelines.phantoms.filters import blurred, clouds, enlarged
from pipelines.phantoms.silhouette import draw_silhouette
from pipelines.phantoms.subject import SubjectGeometry

LARGEST_ROWS = 1024
# half a finger's thickness over the length of metacarpal 3
FINGER = 0.158


def soft_tissue_mm(
    rng: np.random.Generator,
    subject: SubjectGeometry,
    landmarks_372: Floats,
    camera: Camera,
    shape: tuple[int, int],
) -> Floats:
    """Return the thickness of the hand along the ray in mm, HxW float32, bone included."""
    # flesh has no fine detail: large films take it from a smaller one
    scale = min(1.0, LARGEST_ROWS / shape[0])
    small = Camera(camera.matrix_22 * scale, camera.offset_2 * scale)
    small_shape = round(shape[0] * scale), round(shape[1] * scale)
    silhouette = draw_silhouette(rng, subject, landmarks_372, small, small_shape)
    thickness = _thickness(rng, subject, silhouette, small.pixels_per_mm)
    return thickness if scale == 1 else enlarged(thickness, shape)


def _thickness(
    rng: np.random.Generator, subject: SubjectGeometry, silhouette: Labels, scale: float
) -> Floats:
    """Two nested domes over the distance to the skin: fingers, then the palm's extra depth."""
    # flesh that leaves the film does not thin out at its border
    padded = cv2.copyMakeBorder(silhouette, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
    distance_mm: Floats = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[2:-2, 2:-2] / scale
    finger = FINGER * subject.metacarpal3_mm * subject.flesh
    palm, extra = finger * rng.uniform(2.2, 3.4), finger * rng.uniform(0.6, 2.0)
    thickness = 1.6 * finger * _dome(distance_mm / finger) + extra * _dome(distance_mm / palm)
    thickness = blurred(thickness.astype(np.float32), max(0.6, 0.35 * scale))
    shape = silhouette.shape
    uneven: Floats = 1 + 0.09 * clouds(rng, shape, 5) + 0.03 * clouds(rng, shape, 18)
    return thickness * np.clip(uneven, 0.5, 1.6)


def _dome(relative: Floats) -> Floats:
    height: Floats = np.sqrt(np.maximum(1 - (1 - np.minimum(relative, 1)) ** 2, 0))
    return height
