"""What lies behind the contrast: flesh, pelvis, bowel and its gas, and metal, as -ln of the beam's share.

Coordinates are mm around the internal os, x to the image's right, y down. Values are for 75 kVp behind 20 cm
of pelvis (about 55 keV: soft tissue .21, bone .5 more per cm); they grow with falling voltage.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.filters import blurred, clouds
from pipelines.phantoms.hsg.splat import View

_FINE = 4  # bits of subpixel precision of OpenCV's polygons


def background(rng: np.random.Generator, view: View) -> Floats:
    """-ln of the primary beam without contrast, relative to the image's middle, HW float32."""
    shape = (view.side, view.side)
    x_W = (np.arange(view.side) - (view.side - 1) / 2) * view.mm + view.centre_3[0]
    y_H = (np.arange(view.side) - (view.side - 1) / 2) * view.mm + view.centre_3[1]
    body = -0.9 * (x_W[None] / 165) ** 2 - 0.35 * ((y_H[:, None] + rng.normal(0, 15)) / 150) ** 2
    image = body.astype(np.float32) + np.float32(0.10) * clouds(rng, shape, 4)
    image += np.float32(0.05) * clouds(rng, shape, 11)
    image += _bones(rng, view)
    without_gas: Floats = image - _gas(rng, view)
    return without_gas


def metal(rng: np.random.Generator, view: View, canal_end_3: Floats) -> Floats:
    """Cannula or catheter, at times a tenaculum and a speculum, as -ln; HW float32."""
    image = np.zeros((view.side, view.side), np.float32)
    end = canal_end_3[:2]
    away = np.array([rng.normal(0, 12), rng.uniform(75, 95)])
    rigid = rng.random() < 0.45
    t_T = np.linspace(0, 1, 24)[:, None]
    bow = np.array([rng.normal(0, 6), 0]) * np.sin(np.pi * t_T)
    _line(image, view, end + away * t_T + bow, 3.2 if rigid else 2.0, 2.2 if rigid else 0.35)
    if rigid:  # the cone that closes the os
        _line(image, view, end + np.array([[0, 0], [0.0, 7.0]]), 8.0, 0.8)
    if rng.random() < 0.35:
        for side in (-1, 1):
            jaw = end + np.array([side * 3.0, -2.0]) + (away + np.array([side * 9.0, 0])) * t_T
            _line(image, view, jaw, 3.0, 2.5)
    if rng.random() < 0.2:
        for side in (-1, 1):
            blade = end + np.array([side * rng.uniform(14, 20), 4.0]) + np.array([side * 6.0, 90.0]) * t_T
            _line(image, view, blade, 4.5, 1.6)
    return blurred(image, 0.3 / view.mm + 0.2)


def _bones(rng: np.random.Generator, view: View) -> Floats:
    """Sacrum with its foramina, iliac wings, pelvic brim, hips and pubis; rims are denser than what they hold."""
    tilt, size = rng.normal(0, 8), rng.uniform(0.92, 1.1)
    inlet = _ellipse(0, 8 + tilt, 68, 58)
    ring = _filled(view, [_ellipse(0, 5 + tilt, 150, 92) * size]) - _filled(view, [inlet * size])
    ring = np.maximum(ring, 0)
    upper = [np.array([[-55, -130], [55, -130], [38, -40 + tilt], [-38, -40 + tilt]])]
    ring = np.maximum(ring - _filled(view, upper), 0)  # the gap above the sacrum's wings
    sacrum = np.array(
        [[-56, -92], [56, -92], [40, -55], [22, -10], [9, 18], [-9, 18], [-22, -10], [-40, -55]]
    )
    holes = [
        _ellipse(side * (24 - 3 * row), -72 + 19 * row, 4.5, 3.5) for row in range(4) for side in (-1, 1)
    ]
    shift = np.array([rng.normal(0, 3), tilt])
    sacral = _filled(view, [sacrum * size + shift]) * (
        1 - 0.6 * _filled(view, [hole * size + shift for hole in holes])
    )
    discs = [_ellipse(0, -82 + 21 * row, 26 - 4 * row, 1.6) * size + shift for row in range(4)]
    sacral = sacral * (1 - 0.35 * _filled(view, discs))
    hips = _filled(view, [_ellipse(side * 100 * size, 66 + tilt, 25, 25) for side in (-1, 1)])
    holes = [_ellipse(side * 36, 92 + tilt, 17, 14) * size for side in (-1, 1)]
    pubis = _filled(view, [_ellipse(0, 86 + tilt, 74, 27) * size]) - _filled(view, holes)
    total = np.zeros_like(ring)
    for part, dense in ((ring, 0.42), (sacral, 0.27), (hips, 0.4), (np.maximum(pubis, 0), 0.4)):
        soft = blurred(part, 2.2 / view.mm + 0.3)
        rim = np.clip(soft - blurred(part, 6.0 / view.mm), 0, None)
        total += np.float32(dense * rng.uniform(0.6, 1.1)) * (soft + 0.7 * rim)
    grain = clouds(rng, total.shape, max(24, view.side // 6))
    grainy: Floats = _uneven(rng, total, view) * (1 + np.float32(0.09) * grain)
    return grainy


def _uneven(rng: np.random.Generator, image: Floats, view: View) -> Floats:
    """Bend the drawing by some mm: no pelvis is made of ellipses."""
    x_W, y_H = (np.arange(view.side, dtype=np.float32) for _ in range(2))
    amount = np.float32(3.5 / view.mm)
    x_HW = x_W[None] + amount * clouds(rng, image.shape, 5) + amount / 3 * clouds(rng, image.shape, 14)
    y_HW = y_H[:, None] + amount * clouds(rng, image.shape, 5) + amount / 3 * clouds(rng, image.shape, 14)
    bent: Floats = cv2.remap(image, x_HW, y_HW, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return bent


def _gas(rng: np.random.Generator, view: View) -> Floats:
    """Bowel gas: clusters of round shapes with folds between them, and the mottle of stool."""
    shape = (view.side, view.side)
    total = np.zeros(shape, np.float32)
    half = view.side * view.mm / 2
    for _ in range(int(rng.integers(1, 7))):
        centre_2 = rng.uniform(-0.9, 0.9, 2) * half + view.centre_3[:2]
        steps_K2 = np.cumsum(rng.normal(0, 9, (int(rng.integers(2, 9)), 2)), axis=0)
        rounds = [_ellipse(*(centre_2 + step), *rng.uniform(5, 13, 2)) for step in steps_K2]
        total = np.maximum(total, np.float32(rng.uniform(0.12, 0.42)) * _filled(view, rounds))
    mottle = np.maximum(clouds(rng, shape, 26), 0.4) * np.maximum(clouds(rng, shape, 5) - 0.7, 0)
    gas: Floats = blurred(total, 1.3 / view.mm + 0.2) + np.float32(rng.uniform(0.02, 0.12)) * mottle
    return gas


def _ellipse(x: float, y: float, half_x: float, half_y: float) -> Floats:
    angle_N = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline_N2: Floats = np.stack([x + half_x * np.cos(angle_N), y + half_y * np.sin(angle_N)], axis=1)
    return outline_N2


def _filled(view: View, polygons: list[Floats]) -> Floats:
    """Polygons N2 in mm as coverage 0 to 1, HW float32."""
    mask = np.zeros((view.side, view.side), np.uint8)
    for polygon_N2 in polygons:
        cv2.fillPoly(mask, [_fixed(view, polygon_N2)], 255, cv2.LINE_AA, _FINE)
    covered: Floats = mask.astype(np.float32) / 255
    return covered


def _line(image: Floats, view: View, points_N2: Floats, width_mm: float, depth: float) -> None:
    """Lay a rod of this -ln over the image, in place."""
    mask = np.zeros(image.shape, np.uint8)
    thick = max(1, round(width_mm / view.mm))
    cv2.polylines(mask, [_fixed(view, points_N2)], False, 255, thick, cv2.LINE_AA, _FINE)
    np.maximum(image, mask.astype(np.float32) * np.float32(depth / 255), out=image)


def _fixed(view: View, points_N2: Floats) -> NDArray[np.int32]:
    """Pixels in OpenCV's fixed point."""
    in_space_N3 = np.column_stack([points_N2, np.full(len(points_N2), view.centre_3[2])])
    placed_N2: NDArray[np.int32] = np.round(view.place(in_space_N3) * 2**_FINE).astype(np.int32)
    return placed_N2
