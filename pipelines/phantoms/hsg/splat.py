"""Contrast and bone as small volumes: dropped onto the image they become path lengths, whatever covers what.

A body is a cloud of points in mm (x to the image's right, y down, z to the viewer), each with a volume. In
parallel projection the path length in a pixel is the volume above it over the pixel's area, exact under any
tilt and additive where bodies cross.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points N3 in mm and their volumes N in mm3."""

    points_N3: Floats
    volume_N: Floats


@dataclass(frozen=True, slots=True)
class View:
    """Where the image lies: its side in pixels, mm per pixel, the point in the middle, and the turns of the beam.

    turn_33 rotates the patient before the projection along z.
    """

    side: int
    mm: float
    centre_3: Floats
    turn_33: Floats

    def place(self, points_N3: Floats) -> Floats:
        """Pixels N2 as (x, y); the centre of the first pixel is at (0, 0)."""
        turned_N3 = (points_N3 - self.centre_3) @ self.turn_33.T
        placed_N2: Floats = turned_N3[:, :2] / self.mm + (self.side - 1) / 2
        return placed_N2


def rotation(axis: str, degrees: float) -> Floats:
    """Rotation 33 about an axis of the patient: x, y or z."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    if axis == "x":
        return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    if axis == "y":
        return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def path_mm(view: View, clouds: list[Cloud]) -> Floats:
    """Path length through the clouds per pixel, HW float32, bilinear."""
    if not clouds:
        return np.zeros((view.side, view.side), np.float32)
    points_N2 = view.place(np.concatenate([cloud.points_N3 for cloud in clouds]))
    volume_N = np.concatenate([cloud.volume_N for cloud in clouds])
    corner_N2 = np.floor(points_N2).astype(np.int64)
    share_N2 = points_N2 - corner_N2
    total = np.zeros((view.side + 2) ** 2)
    for dy in (0, 1):
        for dx in (0, 1):
            # a frame of one pixel takes what falls beside the image
            x_N = np.clip(corner_N2[:, 0] + dx + 1, 0, view.side + 1)
            y_N = np.clip(corner_N2[:, 1] + dy + 1, 0, view.side + 1)
            weight_N = (share_N2[:, 0] if dx else 1 - share_N2[:, 0]) * (
                share_N2[:, 1] if dy else 1 - share_N2[:, 1]
            )
            total += np.bincount(y_N * (view.side + 2) + x_N, weight_N * volume_N, len(total))
    framed = total.reshape(view.side + 2, view.side + 2)[1:-1, 1:-1]
    return (framed / view.mm**2).astype(np.float32)
