"""From hand to film: one affine map, in pixels per millimetre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats


@dataclass(frozen=True, slots=True)
class Camera:
    """x_px = matrix_22 @ x_mm + offset_2; pixels as (x, y) with the centre of the first pixel at (0, 0)."""

    matrix_22: Floats
    offset_2: Floats

    def project(self, points_N2: Floats) -> Floats:
        """Map points from mm in the hand's frame to pixels."""
        return points_N2 @ self.matrix_22.T + self.offset_2

    @property
    def pixels_per_mm(self) -> float:
        """Mean scale."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix_22))))

    @property
    def handedness(self) -> int:
        """-1 where the map mirrors."""
        return 1 if np.linalg.det(self.matrix_22) > 0 else -1

    def moved(self, shift_2: Floats) -> Camera:
        """Return the camera with its image moved by `shift_2` pixels."""
        return Camera(self.matrix_22, self.offset_2 + shift_2)


def make_camera(
    pixels_per_mm: float, degrees: float, mirrored: bool, shear_22: Floats | None = None
) -> Camera:
    """Return a camera at the origin: scale, turn, mirror (a right hand) and optionally a mild shear."""
    angle = np.deg2rad(degrees)
    turn_22 = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror_22 = np.diag([-1.0 if mirrored else 1.0, 1.0])
    matrix_22 = pixels_per_mm * turn_22 @ mirror_22
    return Camera(matrix_22 if shear_22 is None else shear_22 @ matrix_22, np.zeros(2))
