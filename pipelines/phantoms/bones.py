"""A tubular bone as tables along its axis: outline, marrow cavity, growth plate, filling.

Legend: K stations from the proximal end (t = 0) to the distal end (t = 1); 2 sides, radial then ulnar.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.plates import Plate, plate_tables
from pipelines.phantoms.profiles import (
    ROUGHNESS_BASIS,
    ROUGHNESS_KNOTS,
    STATIONS,
    Profile,
    rounded_ends,
    smooth_profile,
)

# cortical thickness and spongiosa along a metacarpal or phalanx, relative to mid-shaft and to a full end
SHAFT_CORTEX: Profile = [(0, 0.1), (0.14, 0.22), (0.3, 0.72), (0.43, 1), (0.57, 1), (0.72, 0.7), (0.9, 0.15)]
SHAFT_FILLING: Profile = [(0, 1), (0.18, 1), (0.34, 0.15), (0.60, 0.12), (0.80, 1), (1, 1)]
# the thinnest shell of bone over its width at mid-shaft
SHELL = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Bone:
    """One bone of one hand, before projection.

    label: class in the truth, 0 for a distractor; axis_22: proximal and distal end in mm; outer_K2, inner_K2:
    half widths of the bone (growth plates bridged, as annotators draw it) and of its cavity in mm; solid_K:
    1 in bone, less in cartilage; spongy_K: share of spongiosa in the cavity, the rest is marrow; bow:
    sideways bend per length; tilt_2: obliqueness of the two ends; plate_at, plate_curve: doming of the
    growth plate; depth_ratio: thickness along the ray over width; density: mineral relative to the average;
    texture_at_2: where its trabeculae lie on the common tile.
    """

    label: int
    axis_22: Floats
    outer_K2: Floats
    inner_K2: Floats
    solid_K: Floats
    spongy_K: Floats
    bow: float
    tilt_2: tuple[float, float]
    plate_at: float
    plate_curve: float
    depth_ratio: float
    density: float
    texture_at_2: tuple[float, float]

    @property
    def length_mm(self) -> float:
        """Distance between the ends of the axis."""
        return float(np.hypot(*(self.axis_22[1] - self.axis_22[0])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a bone looks like from outside.

    radial, ulnar: outline points (t, half width in mm); caps: lengths of the rounded ends as shares of the axis;
    cortex: thickness along the axis relative to mid-shaft; filling: spongiosa along the axis; the rest as in
    Bone.
    """

    axis_22: Floats
    radial: Profile
    ulnar: Profile
    label: int = 0
    caps: tuple[float, float] = (0.07, 0.12)
    cortex: Profile = field(default_factory=lambda: SHAFT_CORTEX)
    filling: Profile = field(default_factory=lambda: SHAFT_FILLING)
    bow: float = 0.0
    tilt_2: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a bone is made of: cortical index at mid-shaft, endosteal roughness, the rest as in Bone."""

    index: float
    scalloping: float
    density: float
    depth_ratio: float


def make_bone(rng: np.random.Generator, shape: Shape, material: Material, plate: Plate | None) -> Bone:
    """Build the tables of a bone."""
    caps_K = rounded_ends(*shape.caps)
    outer_K2 = np.stack([_wobbly(rng, side) * caps_K for side in (shape.radial, shape.ulnar)], axis=1)
    cortex_K2 = _cortex(rng, outer_K2, material, smooth_profile(shape.cortex))
    inner_K2 = np.maximum(outer_K2 - cortex_K2, 0)
    solid_K: Floats = np.ones(STATIONS)
    if plate is not None:
        shape_K, solid_K = plate_tables(plate)
        outer_K2, inner_K2 = outer_K2 * shape_K[:, None], inner_K2 * shape_K[:, None]
    return Bone(
        label=shape.label,
        axis_22=shape.axis_22,
        outer_K2=outer_K2,
        inner_K2=inner_K2,
        solid_K=solid_K,
        spongy_K=smooth_profile(shape.filling),
        bow=shape.bow,
        tilt_2=shape.tilt_2,
        plate_at=plate.at if plate else 0.0,
        plate_curve=plate.curve if plate else 0.0,
        depth_ratio=material.depth_ratio,
        density=material.density,
        texture_at_2=(float(rng.uniform(0, 256)), float(rng.uniform(0, 256))),
    )


def _wobbly(rng: np.random.Generator, side: Profile) -> Floats:
    """One side's half width K, every point of the outline a little off."""
    return smooth_profile([(t, width * (1 + rng.normal(0, 0.03))) for t, width in side])


def _cortex(rng: np.random.Generator, outer_K2: Floats, material: Material, profile_K: Floats) -> Floats:
    """Cortical thickness K2: the radial side is 11 % thicker, the endosteal surface a little rough."""
    width = float(outer_K2[profile_K > 0.97].sum(axis=1).mean())
    thickness_2 = 0.5 * material.index * width * np.array([1.055, 0.945])
    rough_K2 = (rng.standard_normal((2, ROUGHNESS_KNOTS)) @ ROUGHNESS_BASIS).T
    thickness_K2 = profile_K[:, None] * thickness_2 * (1 + material.scalloping * rough_K2)
    return np.maximum(thickness_K2, SHELL * width)
