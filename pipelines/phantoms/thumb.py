"""The thumb: metacarpal 1, whose epiphysis is proximal, and two phalanges."""

from __future__ import annotations

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.bones import Bone, Shape, make_bone
from pipelines.phantoms.build import Build, scaled
from pipelines.phantoms.profiles import Profile
from pipelines.phantoms.skeleton import THUMB

THUMB_LABEL = 3
# per phalanx: name, shaft, head, gap at the distal end as a share of its segment
PHALANGES = (("proximal", 0.935, 1.25, 0.05), ("distal", 0.79, 1.0, 0.0))


def make_thumb(build: Build, landmarks_372: Floats) -> list[Bone]:
    """Metacarpal 1 and its phalanges, or nothing where the ray is amputated."""
    base, head, joint, tip = landmarks_372[list(THUMB)]
    bones = [_metacarpal(build, base, head)]
    for order, joint_22 in enumerate((np.stack([head, joint]), np.stack([joint, tip]))):
        bones.append(_phalanx(build, order, joint_22))
    return bones if build.subject.missing_label != THUMB_LABEL else []


def _metacarpal(build: Build, base: Floats, head: Floats) -> Bone:
    rng, along = build.rng, head - base
    axis_22 = np.stack([base + along * rng.normal(0, 0.015), head - along * (build.joint_gap + 0.015)])
    shaft = build.vary(build.shaft_mm) * 1.12
    wide_head, wide_base, asymmetry = build.vary(1.42), build.vary(1.50, 0.07), rng.normal(0, 0.08)
    shape = Shape(
        label=THUMB_LABEL,
        axis_22=axis_22,
        radial=scaled(shaft, _metacarpal_outline(wide_base * (1 + asymmetry), wide_head)),
        ulnar=scaled(shaft, _metacarpal_outline(wide_base * (1 - asymmetry), wide_head)),
        caps=(0.09, 0.13),
        bow=rng.normal(0.01, 0.02),
        tilt_2=(rng.normal(0, 0.2), 0.0),
    )
    plate = build.plate("metacarpal1", rng.uniform(0.13, 0.20), -1, float(np.hypot(*along)))
    return make_bone(rng, shape, build.material(THUMB_LABEL), plate)


def _metacarpal_outline(base: float, head: float) -> Profile:
    proximal = [(0.0, 0.74 * base), (0.1, base), (0.28, 1.12), (0.5, 1.0), (0.68, 1.1)]
    return [*proximal, (0.86, head), (0.95, 0.95 * head), (1.0, 0.72 * head)]


def _phalanx(build: Build, order: int, joint_22: Floats) -> Bone:
    rng, along = build.rng, joint_22[1] - joint_22[0]
    part, slender, head, gap = PHALANGES[order]
    distal = joint_22[1] - along * (gap + 0.5 * build.joint_gap)
    relative = [(0.0, 1.24), (0.08, 1.55), (0.25, 1.15), (0.55, 1.0), (0.9, head), (1.0, 0.8 * head)]
    outline = scaled(build.vary(build.shaft_mm) * slender, relative)
    shape = Shape(
        axis_22=np.stack([joint_22[0] + 0.02 * along, distal]),
        radial=outline,
        ulnar=outline,
        caps=(0.06, 0.12),
        bow=rng.normal(0, 0.015),
    )
    plate = build.plate(part, rng.uniform(0.10, 0.16), -1, float(np.hypot(*along)))
    return make_bone(rng, shape, build.material(), plate)
