"""The outline of the flesh: capsules around every bone, the palm, the web of the thumb, the forearm."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.phantoms.arrays import Floats, Labels
from pipelines.phantoms.camera import Camera
from pipelines.phantoms.forearm import forearm_frame
from pipelines.phantoms.rays import FIRST_FINGER_LABEL
from pipelines.phantoms.skeleton import RAYS, THUMB
from pipelines.phantoms.subject import SubjectGeometry
from pipelines.phantoms.thumb import THUMB_LABEL

SUBPIXEL_BITS = 4
# unit of flesh over the length of metacarpal 3; a finger's half width in this unit at both ends of its segments
FLESH_UNIT = 0.066
FINGER = ((2.15, 1.95), (1.95, 1.75), (1.70, 1.35))
THUMB_FINGER = ((2.3, 2.1), (2.1, 1.5))


def draw_silhouette(
    rng: np.random.Generator,
    subject: SubjectGeometry,
    landmarks_372: Floats,
    camera: Camera,
    shape: tuple[int, int],
) -> Labels:
    """Return the filled silhouette, 0 or 1, HxW; an amputated ray takes its finger along."""
    pixels = camera.project(landmarks_372)
    mask = np.zeros(shape, np.uint8)
    unit = FLESH_UNIT * subject.metacarpal3_mm * camera.pixels_per_mm * subject.flesh
    for ray, (base, joints) in enumerate(RAYS):
        if subject.missing_label != ray + FIRST_FINGER_LABEL:
            palm = unit * rng.uniform(2.4, 3.2), unit * rng.uniform(2.2, 2.8)
            _capsule(mask, pixels[base], pixels[joints[0]], *palm)
            _finger(mask, pixels[list(joints)], unit, FINGER)
    if subject.missing_label != THUMB_LABEL:
        _capsule(mask, pixels[THUMB[0]], pixels[THUMB[1]], unit * 3.2, unit * 2.4)
        _finger(mask, pixels[list(THUMB[1:])], unit, THUMB_FINGER)
        if rng.random() < 0.7:  # web between thumb and index finger
            middle = 0.5 * (pixels[18] + pixels[16]) + 0.2 * (pixels[21] - pixels[16])
            _polygon(mask, np.stack([pixels[17], pixels[18], middle, pixels[21], pixels[16]]))
    _palm(mask, subject, landmarks_372, camera)
    _forearm(rng, mask, subject, landmarks_372, camera)
    # a blur before the threshold fills creases between neighbouring capsules
    size = 2 * int(max(1, 0.03 * subject.metacarpal3_mm * camera.pixels_per_mm)) + 1
    rounded: Labels = cv2.GaussianBlur(mask, (size, size), 0)
    return (rounded > 127).astype(np.uint8)


def _finger(mask: Labels, joints_N2: Floats, unit: float, widths: tuple[tuple[float, float], ...]) -> None:
    """Segments from joint to joint; the pulp reaches beyond the tuft."""
    points = joints_N2.copy()
    last = points[-1] - points[-2]
    points[-1] += last / (np.hypot(*last) + 1e-6) * unit * 0.9
    for start, end, (near, far) in zip(points[:-1], points[1:], widths, strict=True):
        _capsule(mask, start, end, unit * near, unit * far)


def _palm(mask: Labels, subject: SubjectGeometry, points: Floats, camera: Camera) -> None:
    """From the knuckles round the ball of the thumb, the wrist and the little finger's side."""
    frame, flesh = forearm_frame(points), subject.flesh
    wrist, across = frame.wrist_2, frame.across_2
    edge = [
        points[33] + 0.5 * (points[33] - points[29]),
        points[29],
        points[25],
        points[21],
        points[21] + 0.4 * (points[21] - points[25]),
        0.35 * points[18] + 0.65 * points[16],
        points[17] + 0.5 * (points[17] - points[16]),
        wrist + across * frame.radius_width * 0.75 * flesh,
        wrist - across * (frame.ulna_width + 0.2 * frame.radius_width) * flesh,
        points[13] + 0.35 * (points[13] - points[16]) * flesh,
    ]
    _polygon(mask, camera.project(np.stack(edge)))


def _forearm(
    rng: np.random.Generator, mask: Labels, subject: SubjectGeometry, points: Floats, camera: Camera
) -> None:
    frame, unit = forearm_frame(points), subject.metacarpal3_mm
    middle = frame.wrist_2 + frame.down_2 * unit * np.array([[-0.2], [4.2]])
    bones = 0.5 * (frame.radius_width + frame.ulna_width) * camera.pixels_per_mm
    half = bones * rng.uniform(1.1, 1.7) * float(np.sqrt(subject.flesh))
    start, end = camera.project(middle)
    _capsule(mask, start, end, half, half * rng.uniform(0.95, 1.45))


def _fixed(points_N2: Floats) -> NDArray[np.int32]:
    """Coordinates as OpenCV's fixed-point integers, kept within what it can draw."""
    bounded: Floats = np.clip(points_N2, -30000, 30000)
    fixed: NDArray[np.int32] = np.round(bounded * 2**SUBPIXEL_BITS).astype(np.int32)
    return fixed


def _polygon(mask: Labels, points_N2: Floats) -> None:
    cv2.fillPoly(mask, [_fixed(points_N2)], 255, cv2.LINE_8, SUBPIXEL_BITS)


def _capsule(mask: Labels, start: Floats, end: Floats, start_radius: float, end_radius: float) -> None:
    along = end - start
    normal = np.array([-along[1], along[0]]) / (np.hypot(*along) + 1e-6)
    sides = [start + normal * start_radius, end + normal * end_radius]
    sides += [end - normal * end_radius, start - normal * start_radius]
    _polygon(mask, np.stack(sides))
    for centre, radius in ((start, start_radius), (end, end_radius)):
        x, y = _fixed(centre[None])[0].tolist()
        cv2.circle(mask, (x, y), round(radius * 2**SUBPIXEL_BITS), 255, -1, cv2.LINE_8, SUBPIXEL_BITS)
