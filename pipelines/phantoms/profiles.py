"""Values along a bone's axis: K stations from the proximal end (t = 0) to the distal end (t = 1)."""

from __future__ import annotations

import numpy as np

from pipelines.phantoms.arrays import Floats

Profile = list[tuple[float, float]]
STATIONS = 257
T_K = np.linspace(0, 1, STATIONS)
# a triangular kernel rounds the corners of profiles; its support reaches past both ends
_HALF = round(0.05 * STATIONS)
ROUNDING = np.bartlett(2 * _HALF + 3)[1:-1] / (_HALF + 1)
PADDED_T = np.arange(-_HALF, STATIONS + _HALF) / (STATIONS - 1)
ROUGHNESS_KNOTS = 15


def smooth_profile(points: Profile) -> Floats:
    """Interpolate (t, value) points to the K stations, corners rounded."""
    t, value = zip(*points, strict=True)
    return np.convolve(np.interp(PADDED_T, t, value), ROUNDING, mode="valid")


def _roughness_basis() -> Floats:
    """Smooth bumps along the axis, one row per knot."""
    knots = np.linspace(0, 1, ROUGHNESS_KNOTS)
    return np.stack([smooth_profile([*zip(knots, row, strict=True)]) for row in np.eye(ROUGHNESS_KNOTS)])


ROUGHNESS_BASIS = _roughness_basis()


def rounded_ends(proximal: float, distal: float) -> Floats:
    """Return the factor K that closes an outline by superelliptic caps; lengths are shares of the axis."""
    factor_K: Floats = np.ones(STATIONS)
    for length, from_end_K in ((proximal, T_K), (distal, 1 - T_K)):
        if length > 0:
            factor_K *= np.sqrt(np.maximum(1 - np.clip(1 - from_end_K / length, 0, 1) ** 2.6, 0))
    return factor_K
