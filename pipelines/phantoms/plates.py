"""Growth plates: what a growing end does to a bone's outline and mineral."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.growth import Epiphysis
from pipelines.phantoms.profiles import STATIONS, T_K


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """A growth plate on the axis.

    at: position t; side: distal (+1) or proximal (-1) epiphysis; state: how far it has come; half_gap: half
    the cartilage's width in t; contrast: mineral missing in it; curve: its doming.
    """

    at: float
    side: int
    state: Epiphysis
    half_gap: float
    contrast: float
    curve: float


def plate_tables(plate: Plate) -> tuple[Floats, Floats]:
    """Return for a growth plate the factor on the outline and the mineral along the axis, K each."""
    beyond_K = (T_K - plate.at) * plate.side
    if plate.state.size <= 0:  # cartilage only: the metaphysis ends bluntly
        return np.sqrt(np.clip(1 - np.clip(1 + beyond_K / 0.035, 0, 1) ** 3, 0, 1)), np.ones(STATIONS)
    size, gap = plate.state.size, plate.half_gap
    reach = (1 - plate.at if plate.side > 0 else plate.at) - gap
    x_K = (beyond_K - gap) / (reach * (0.62 + 0.38 * size))
    x_K = np.clip(x_K, 0, 1)
    oval_K = np.sqrt(np.maximum(1 - np.abs(2 * x_K - 1) ** (2.2 + 4 * size), 0))
    closed = np.clip(3 * (1 - plate.state.gap) - 1.6, 0, 1)
    breadth = 0.45 + 0.55 * size
    epiphysis_K = breadth * (oval_K * (1 - closed) + closed)
    shape_K = np.where(beyond_K > gap, epiphysis_K, 1.0)
    shape_K = np.where(np.abs(beyond_K) <= gap, 0.96 * breadth, shape_K)
    band_K = np.exp(-((beyond_K / gap) ** 4))
    rim_K = np.exp(-(((np.abs(beyond_K) - 1.9 * gap) / (0.7 * gap)) ** 2))
    return shape_K, 1 - plate.contrast * band_K + 0.25 * plate.contrast * rim_K


def metaphyseal_plate(
    rng: np.random.Generator, state: Epiphysis, at: float, side: int, length_mm: float
) -> Plate | None:
    """Return the growth plate of a bone, or None once it has fused; the cartilage is up to 2 mm wide."""
    if state.gap <= 0:
        return None
    half_gap_mm = 0.22 + 0.75 * state.gap * rng.uniform(0.7, 1.2)
    contrast = min(1.0, 2.2 * state.gap) * rng.uniform(0.6, 1.0)
    return Plate(
        at=at,
        side=side,
        state=state,
        half_gap=half_gap_mm / length_mm,
        contrast=contrast,
        curve=rng.normal(0.01, 0.012),
    )
