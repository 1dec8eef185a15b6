"""Where the hand lies on the film: scale, turn, side, collimated field, frame around a digitised film."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.camera import Camera, make_camera
from pipelines.phantoms.skeleton import turned

FIELD_ROWS_MM = (212.0, 262.0)
# the third metacarpal on a film of 320 rows, in pixels (children's films at any zoom)
RANDOM_METACARPAL3 = 75 / 320
WRIST = slice(0, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How one film is framed.

    camera: mm to pixels; viewport: x0, y0, x1, y1 of the film within the picture; field_42: corners of the
    collimated field, None where it is open.
    """

    camera: Camera
    viewport: tuple[int, int, int, int]
    field_42: Floats | None

    def field_mask(self, shape: tuple[int, int]) -> Floats:
        """Return 1 inside the exposed field, 0 outside, soft at its edge: HxW float32."""
        mask = np.zeros(shape, np.float32)
        x0, y0, x1, y1 = self.viewport
        corners: Floats = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float) - 0.5
        corners = corners if self.field_42 is None else self.field_42
        cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], (1.0,), cv2.LINE_AA, 4)
        return mask


def frame_clinic(
    rng: np.random.Generator, landmarks_372: Floats, side: str, shape: tuple[int, int], missing: str
) -> Framing:
    """Frame as a radiographer does: fingers up, whole hand, collimated to it."""
    height, width = shape
    scale = height / rng.uniform(*FIELD_ROWS_MM)
    degrees = rng.normal(0, 7) if rng.random() < 0.9 else rng.normal(0, 25)
    camera = make_camera(scale, degrees, side == "R")
    extent = np.ptp(camera.project(landmarks_372), axis=0)
    # flesh adds about 12 mm on either side of the landmarks
    room = min(1.0, (0.98 * width - 24 * scale) / extent[0], (0.90 * height - 24 * scale) / extent[1])
    camera = make_camera(scale * room, degrees, side == "R")
    target = np.array([width * rng.uniform(0.47, 0.53), height * rng.uniform(0.40, 0.50)])
    camera = _centred(camera, landmarks_372, target)
    top = camera.project(landmarks_372)[:, 1].min()
    camera = camera.moved(np.array([0.0, max(0.0, 14 * camera.pixels_per_mm - top)]))
    if missing == "forearm":
        camera = _without_wrist(camera, landmarks_372, shape)
    field = _field(rng, (0, 0, width, height), 0.05, 2.0) if rng.random() < 0.45 else None
    return Framing(camera=camera, viewport=(0, 0, width, height), field_42=field)


def frame_random(
    rng: np.random.Generator, landmarks_372: Floats, side: str, shape: tuple[int, int], missing: str
) -> Framing:
    """Frame in any way a collected film may be: scaled, tilted, sheared, cut, inside another picture."""
    viewport = _viewport(rng, shape) if rng.random() < 0.30 else (0, 0, shape[1], shape[0])
    width, height = viewport[2] - viewport[0], viewport[3] - viewport[1]
    reference = min(height, 1.25 * width)
    length_px = reference * np.clip(RANDOM_METACARPAL3 * np.exp(rng.normal(0, 0.24)), 0.10, 0.345)
    unit_mm = float(np.hypot(*(landmarks_372[25] - landmarks_372[15])))
    shear = np.eye(2)
    if rng.random() < 0.5:
        shear[0] += rng.normal(0, 0.05, 2)
    camera = make_camera(length_px / unit_mm, _any_turn(rng), side == "R", shear)
    corner = np.array(viewport[:2], float)
    camera = _centred(camera, landmarks_372, corner + rng.uniform(0.40, 0.60, 2) * (width, height))
    if rng.random() < 0.6:  # fingertips are rarely cut
        top = camera.project(landmarks_372)[:, 1].min()
        camera = camera.moved(np.array([0.0, max(0.0, corner[1] + 3 - top)]))
    if missing == "forearm":
        camera = _without_wrist(camera, landmarks_372, shape)
    field = _field(rng, viewport, 0.10, 3.0) if rng.random() < 0.55 else None
    return Framing(camera=camera, viewport=viewport, field_42=field)


def _any_turn(rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < 0.75:
        return float(rng.normal(0, 14))
    return float(rng.uniform(-45, 45) if kind < 0.92 else rng.uniform(-180, 180))


def _centred(camera: Camera, landmarks_372: Floats, target_2: Floats) -> Camera:
    pixels = camera.project(landmarks_372)
    return camera.moved(target_2 - 0.5 * (pixels.min(0) + pixels.max(0)))


def _without_wrist(camera: Camera, landmarks_372: Floats, shape: tuple[int, int]) -> Camera:
    """Move the hand until radius and ulna lie off the film."""
    margin = 0.03 * shape[0]
    down = camera.matrix_22 @ np.array([0.0, 1.0])
    step = down / np.hypot(*down) * 0.03 * shape[0]
    for _ in range(60):
        wrist = camera.project(landmarks_372[WRIST])
        outside = ((wrist < -margin) | (wrist > np.array(shape[::-1]) + margin)).any(axis=1)
        if outside.all():
            break
        camera = camera.moved(step)
    return camera


def _viewport(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    share = rng.uniform(0.5, 0.92)
    height, width = share * shape[0], share * shape[1]
    x, y = rng.uniform(0, shape[1] - width), rng.uniform(0, shape[0] - height)
    return int(x), int(y), int(x + width), int(y + height)


def _field(
    rng: np.random.Generator, viewport: tuple[int, int, int, int], inset: float, tilt_sd: float
) -> Floats:
    """Corners of a tilted rectangle, each edge moved in by up to a share `inset` of the viewport, or not."""
    x0, y0, x1, y1 = viewport
    width, height = x1 - x0, y1 - y0
    left, right, top, bottom = (
        rng.uniform(0, inset, 4) * (rng.random(4) < 0.6) * (width, width, height, height)
    )
    corners = np.array(
        [[x0 + left, y0 + top], [x1 - right, y0 + top], [x1 - right, y1 - bottom], [x0 + left, y1 - bottom]]
    )
    return turned(corners, corners.mean(0), rng.normal(0, tilt_sd)) - 0.5
