"""Ray paths through carpals and sesamoids: stones of a mosaic that are cut where they meet."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.camera import Camera
from pipelines.phantoms.carpals import Carpal
from pipelines.phantoms.projection import Canvas, Window, window_around

# half the cartilage between two carpals, over the longest half axis
JOINT_SPACE = 0.03


def project_carpals(canvas: Canvas, carpals: list[Carpal], camera: Camera) -> None:
    """Add carpals and sesamoids: those of the mosaic are cut where they meet, the others lie on top."""
    stones = [carpal for carpal in carpals if carpal.mosaic]
    if stones:
        _add_ovals(canvas, stones, camera)
    for carpal in carpals:
        if not carpal.mosaic:
            _add_ovals(canvas, [carpal], camera)


def _add_ovals(canvas: Canvas, carpals: list[Carpal], camera: Camera) -> None:
    scale = camera.pixels_per_mm
    centres = camera.project(np.stack([carpal.centre_2 for carpal in carpals]))
    reach = max(max(carpal.half_axes_2) for carpal in carpals)
    window = window_around(centres, 1.35 * reach * scale + 2, canvas.truth.shape)
    if window is None or reach * scale < 0.8:
        return
    depths = np.stack([_oval_depth_mm(carpal, camera, window) for carpal in carpals])
    which, depth = _deepest(depths, JOINT_SPACE * reach)
    half = np.array([min(carpal.half_axes_2) for carpal in carpals], np.float32)[which]
    density = np.array([carpal.density for carpal in carpals], np.float32)[which]
    mineral = np.clip(depth * scale + 0.5, 0, 1) * density
    chord = 2 * half * _dome(depth / half)
    shell = np.minimum(0.7, 0.12 * half)
    cavity = np.minimum(1.86 * half * _dome((depth - shell) / half), chord)
    canvas.cortex_mm[window] += 0.5 * (chord - cavity) * mineral
    canvas.spongiosa_mm[window] += 0.85 * cavity * mineral
    canvas.cover[window] += depth > 0


def _deepest(depth_CHW: Floats, joint_space_mm: float) -> tuple[NDArray[np.intp], Floats]:
    """Which oval a pixel belongs to, and its depth there, cut back at the joint with the next one."""
    which = depth_CHW.argmax(axis=0)
    if len(depth_CHW) == 1:
        return which, depth_CHW[0]
    second, first = np.partition(depth_CHW, -2, axis=0)[-2:]
    return which, np.minimum(first, 0.5 * (first - second) - joint_space_mm)


def _oval_depth_mm(carpal: Carpal, camera: Camera, window: Window) -> Floats:
    """Depth below an oval's outline in mm, negative outside, over the window."""
    x_px, y_px = camera.project(carpal.centre_2[None])[0]
    inverse = np.linalg.inv(camera.matrix_22).astype(np.float32)
    y, x = np.mgrid[window].astype(np.float32)
    x, y = x - np.float32(x_px), y - np.float32(y_px)
    x_mm, y_mm = inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y
    cosine, sine = np.float32(np.cos(carpal.turn)), np.float32(np.sin(carpal.turn))
    long, short = carpal.half_axes_2
    a, b = (x_mm * cosine + y_mm * sine) / np.float32(long), (y_mm * cosine - x_mm * sine) / np.float32(short)
    angle = cv2.phase(a, b)
    rim = np.ones_like(angle)
    for harmonic, (size, phase) in enumerate(carpal.wobble_32.astype(np.float32), start=2):
        rim += size * np.cos(harmonic * angle + phase)
    depth: Floats = (1 - cv2.magnitude(a, b) / rim) * np.float32(min(long, short))
    return depth


def _dome(depth: Floats) -> Floats:
    """Height of a ball at a depth below its outline, both over its radius."""
    below = 1 - np.clip(depth, 0, 1)
    height: Floats = np.sqrt(1 - below * below)
    return height
