"""Rays 2 to 5: metacarpals and phalanges, their outlines in units of the shaft's half width."""

from __future__ import annotations

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.bones import Bone, Shape, make_bone
from pipelines.phantoms.build import Build, scaled
from pipelines.phantoms.profiles import Profile
from pipelines.phantoms.skeleton import RAYS

# per ray 2..5: shaft relative to metacarpal 3; head and base relative to the shaft; asymmetry and tilt of the base
SHAFT = (1.02, 1.00, 0.86, 0.92)
HEAD = (1.60, 1.62, 1.62, 1.62)
BASE = (1.78, 1.70, 1.58, 1.78)
BASE_ASYMMETRY = (0.12, 0.0, 0.0, -0.12)
BASE_TILT = (-0.3, 0.0, 0.0, 0.3)
BOW = (-0.020, 0.0, 0.008, 0.020)
FIRST_FINGER_LABEL = 4
# per phalanx: name, shaft, base and head, gap at the distal end as a share of the ray's segment
PHALANGES = (
    ("proximal", 0.93, 1.62, 1.18, 0.025),
    ("middle", 0.82, 1.45, 1.12, 0.030),
    ("distal", 0.62, 1.60, 1.00, 0.0),
)


def make_fingers(build: Build, landmarks_372: Floats) -> list[Bone]:
    """Metacarpals 2 to 5 and their phalanges; an amputated ray is left out whole."""
    bones = []
    for ray, (base, joints) in enumerate(RAYS):
        metacarpal = _metacarpal(build, ray, landmarks_372[base], landmarks_372[joints[0]])
        phalanges = [_phalanx(build, ray, j, landmarks_372[[joints[j], joints[j + 1]]]) for j in range(3)]
        if build.subject.missing_label != FIRST_FINGER_LABEL + ray:
            bones += [metacarpal, *phalanges]
    return bones


def _metacarpal(build: Build, ray: int, base: Floats, head: Floats) -> Bone:
    rng, along, label = build.rng, head - base, FIRST_FINGER_LABEL + ray
    distal = head - along * (build.joint_gap + rng.uniform(0, 0.015))
    proximal = base + along * (-0.01 + rng.normal(0, 0.012) + 0.03 * (build.subject.bone_age_years < 4))
    length = float(np.hypot(*(distal - proximal)))
    shaft = build.vary(build.shaft_mm, 0.04) * SHAFT[ray]
    wide_head, wide_base = build.vary(HEAD[ray], 0.06), build.vary(BASE[ray], 0.08)
    asymmetry = BASE_ASYMMETRY[ray] + rng.normal(0, 0.06)
    shape = Shape(
        label=label,
        axis_22=np.stack([proximal, distal]),
        radial=scaled(shaft, _metacarpal_outline(wide_base * (1 + asymmetry), wide_head)),
        ulnar=scaled(shaft, _metacarpal_outline(wide_base * (1 - asymmetry), wide_head)),
        caps=(0.05, rng.uniform(0.09, 0.14)),
        bow=BOW[ray] + rng.normal(0, 0.012),
        tilt_2=(BASE_TILT[ray] + rng.normal(0, 0.2), rng.normal(0, 0.1)),
    )
    plate = build.plate("metacarpal", rng.uniform(0.80, 0.87), 1, length)
    return make_bone(rng, shape, build.material(label), plate)


def _metacarpal_outline(base: float, head: float) -> Profile:
    proximal = [(0.0, 0.84 * base), (0.06, base), (0.17, 1.28), (0.30, 1.06), (0.42, 1.0)]
    return [*proximal, (0.58, 1.0), (0.74, 1.12), (0.87, 0.97 * head), (0.93, head), (1.0, 0.82 * head)]


def _phalanx(build: Build, ray: int, order: int, joint_22: Floats) -> Bone:
    """Proximal, middle and distal phalanx (order 0, 1, 2): epiphysis at the base, close to the joint."""
    rng, along = build.rng, joint_22[1] - joint_22[0]
    part, slender, wide_base, wide_head, gap = PHALANGES[order]
    proximal = joint_22[0] + along * (rng.normal(0, 0.012) + (0.02 if order == 2 else 0.0))
    distal = joint_22[1] - along * (gap + 0.7 * build.joint_gap)
    shaft = build.vary(build.shaft_mm) * SHAFT[ray] * slender
    base, head = build.vary(wide_base), build.vary(wide_head)
    outline = scaled(shaft, _tuft_outline(base) if order == 2 else _phalanx_outline(base, head))
    shape = Shape(
        axis_22=np.stack([proximal, distal]),
        radial=outline,
        ulnar=outline,
        caps=(0.05, 0.15 if order == 2 else 0.09),
        bow=rng.normal(0, 0.01),
    )
    plate = build.plate(part, rng.uniform(0.09, 0.14), -1, float(np.hypot(*along)))
    return make_bone(rng, shape, build.material(), plate)


def _phalanx_outline(base: float, head: float) -> Profile:
    proximal = [(0.0, 0.8 * base), (0.06, base), (0.2, 1.2), (0.5, 1.0)]
    return [*proximal, (0.75, 0.97), (0.92, head), (1.0, 0.85 * head)]


def _tuft_outline(base: float) -> Profile:
    return [(0.0, 0.8 * base), (0.07, base), (0.3, 1.0), (0.65, 0.75), (0.88, 1.05), (1.0, 0.6)]
