"""Carpals and sesamoids: wobbly ovals with a thin shell; distractors that no annotator outlines.

Seven carpals share the wrist like the stones of a mosaic; the pisiform and the sesamoids lie in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.build import Build
from pipelines.phantoms.growth import SESAMOID_YEARS, carpal_size

# carpal: weights of landmarks for its centre, half axes over metacarpal 3, turn from the hand's axis
PLACES: dict[str, tuple[dict[int, float], float, float, float]] = {
    "capitate": ({10: 0.57, 15: 0.43}, 0.20, 0.13, 0.0),
    "hamate": ({9: 0.56, 13: 0.22, 14: 0.22}, 0.17, 0.13, 0.3),
    "trapezoid": ({11: 0.58, 16: 0.42}, 0.10, 0.085, 0.0),
    "trapezium": ({12: 0.55, 17: 0.45}, 0.13, 0.11, 0.5),
    "scaphoid": ({8: 0.5, 11: 0.25, 12: 0.25}, 0.17, 0.095, -0.7),
    "lunate": ({7: 0.45, 10: 0.55}, 0.12, 0.12, 0.0),
    "triquetrum": ({6: 0.6, 9: 0.4}, 0.13, 0.10, 0.6),
    "pisiform": ({6: 0.7, 9: 0.3}, 0.075, 0.065, 0.0),
}
# stones of a mosaic are drawn a little larger and then cut at their joints
SPREAD = 1.12


@dataclass(frozen=True, slots=True)
class Carpal:
    """An oval: centre and half axes in mm, turn in radians, wobble of its outline (amplitude, phase) x 3.

    mosaic: gives way to its neighbours instead of covering them.
    """

    centre_2: Floats
    half_axes_2: tuple[float, float]
    turn: float
    wobble_32: Floats
    density: float
    mosaic: bool


def make_carpals(build: Build, landmarks_372: Floats) -> list[Carpal]:
    """Return the carpals that have a centre at this bone age."""
    rng, unit = build.rng, build.subject.metacarpal3_mm
    hand = landmarks_372[25] - landmarks_372[15]
    axis = float(np.arctan2(hand[1], hand[0]))
    carpals = []
    for name, (weights, long, short, turn) in PLACES.items():
        size = carpal_size(name, build.subject.bone_age_years) * unit
        centre = sum(weight * landmarks_372[point] for point, weight in weights.items())
        centre = centre + rng.normal(0, 0.02, 2) * unit
        half_axes_2 = build.vary(SPREAD * long) * size, build.vary(SPREAD * short) * size
        oval = _oval(build, centre, half_axes_2, axis + turn, mosaic=name != "pisiform")
        if size > 0:
            carpals.append(oval)
    return carpals


def make_sesamoids(build: Build, landmarks_372: Floats) -> list[Carpal]:
    """Return up to three sesamoids near the heads of metacarpals 1, 2 and 5."""
    rng, unit = build.rng, build.subject.metacarpal3_mm
    count = int(rng.integers(0, 4)) if build.subject.bone_age_years > SESAMOID_YEARS else 0
    sesamoids = []
    for place in rng.choice([18, 18, 21, 33], count):
        centre = landmarks_372[place] + rng.normal(0, 0.07, 2) * unit
        long, short = rng.uniform(0.02, 0.045, 2) * unit
        sesamoids.append(_oval(build, centre, (long, short), rng.uniform(0, 3.1), mosaic=False))
    return sesamoids


def _oval(
    build: Build, centre_2: Floats, half_axes_2: tuple[float, float], turn: float, *, mosaic: bool
) -> Carpal:
    rng = build.rng
    harmonics = np.arange(2, 5)
    amplitude = rng.normal(0, 0.085 / np.sqrt(harmonics - 1))
    wobble_32 = np.stack([amplitude, rng.uniform(0, 2 * np.pi, 3)], axis=1)
    turn += rng.normal(0, 0.15)
    return Carpal(centre_2, half_axes_2, turn, wobble_32, build.density * rng.uniform(0.85, 1.15), mosaic)
