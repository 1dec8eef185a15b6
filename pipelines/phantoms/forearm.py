"""Radius and ulna: they enter at the elbow's side of the film and end, obliquely, at the wrist."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.bones import Bone, Shape, make_bone
from pipelines.phantoms.build import Build
from pipelines.phantoms.growth import epiphysis
from pipelines.phantoms.profiles import STATIONS, Profile
from pipelines.phantoms.skeleton import turned

ULNA_LABEL, RADIUS_LABEL = 1, 2
FULL_CORTEX_MM_PER_WIDTH = 2.2


@dataclass(frozen=True, slots=True)
class ForearmFrame:
    """The forearm in mm: wrist, direction down to the elbow, across to the radius, metaphyseal widths."""

    wrist_2: Floats
    down_2: Floats
    across_2: Floats
    radius_width: float
    ulna_width: float


def forearm_frame(landmarks_372: Floats) -> ForearmFrame:
    """Read the forearm's directions off the landmarks of the two distal ends."""
    points = landmarks_372
    hand = points[25] - points[15]
    length = float(np.hypot(*hand))
    own_axis = 0.5 * (points[0] + points[4]) - 0.5 * (points[15] + points[14])
    down = 0.45 * own_axis / np.hypot(*own_axis) - 0.55 * hand / length
    down /= np.hypot(*down)
    across = np.array([-down[1], down[0]])
    across = across if (points[4] - points[0]) @ across > 0 else -across
    radius_width = max(abs((points[4] - points[3]) @ across), 0.30 * length)
    ulna_width = max(abs((points[2] - points[0]) @ across), 0.17 * length)
    return ForearmFrame(0.5 * (points[2] + points[3]), down, across, radius_width, ulna_width)


def make_forearm(build: Build, landmarks_372: Floats) -> list[Bone]:
    """Ulna and radius, long enough to leave any film."""
    frame, rng = forearm_frame(landmarks_372), build.rng
    unit = build.subject.metacarpal3_mm
    turn = rng.normal(0, 5)
    down = turned(frame.down_2, np.zeros(2), turn)
    length = unit * rng.uniform(3.2, 4.2)
    converge = rng.normal(0, 0.03) * length
    styloids = landmarks_372[[1, 5]] - landmarks_372[[0, 4]]
    ulna_mid = 0.5 * (landmarks_372[0] + landmarks_372[2])
    radius_mid = 0.5 * (landmarks_372[3] + landmarks_372[4])
    bones = []
    for label, middle, towards in ((ULNA_LABEL, ulna_mid, -1), (RADIUS_LABEL, radius_mid, 1)):
        beyond = float(np.clip(-(styloids[label - 1] @ down), 0.05 * unit, 0.42 * unit)) * rng.uniform(
            0.5, 0.9
        )
        if label == ULNA_LABEL:
            beyond *= rng.uniform(0.75, 1.1)
        elbow = middle + down * length + frame.across_2 * converge * towards * 0.5
        axis_22 = np.stack([elbow, middle - down * beyond])
        width = frame.radius_width if label == RADIUS_LABEL else frame.ulna_width
        bones.append(_forearm_bone(build, label, axis_22, beyond, 0.5 * build.vary(width, 0.04)))
    return bones


def _forearm_bone(build: Build, label: int, axis_22: Floats, beyond: float, half: float) -> Bone:
    """`beyond`: mm from the plate to the tip; `half`: half the metaphysis' width in mm."""
    rng, unit = build.rng, build.subject.metacarpal3_mm
    length = float(np.hypot(*(axis_22[1] - axis_22[0])))
    radius = label == RADIUS_LABEL
    shaft_share = (0.118, 0.52, 0.78) if radius else (0.096, 0.58, 0.92)
    shaft = float(
        np.clip(
            build.vary(shaft_share[0], 0.07) * build.subject.robustness * unit,
            shaft_share[1] * half,
            shaft_share[2] * half,
        )
    )
    radial, ulnar = (_radius_outline if radius else _ulna_outline)(beyond, half, shaft)
    part = "radius" if radius else "ulna"
    state = epiphysis(part, build.subject.bone_age_years)
    tilt = rng.uniform(0.05, 0.5) if radius else -rng.uniform(-0.1, 0.45)
    full = FULL_CORTEX_MM_PER_WIDTH * 2 * half
    shape = Shape(
        label=label,
        axis_22=axis_22,
        radial=_along(radial, length),
        ulnar=_along(ulnar, length),
        caps=(0.0, max(0.35 * half, 0.5 * beyond if state.size > 0.3 else 0.3 * half) / length),
        cortex=_along([(0, 0.08), (beyond, 0.1), (beyond + 0.35 * full, 0.4), (beyond + full, 1)], length),
        filling=_along([(0, 1.0), (beyond + 0.4 * full, 1.0), (beyond + 0.9 * full, 0.15)], length),
        bow=rng.normal(0, 0.008),
        tilt_2=(0.0, tilt),
    )
    # flat bones: thinner along the ray than they are wide
    material = replace(build.material(label), depth_ratio=build.depth_ratio * rng.uniform(0.62, 0.82))
    plate = build.plate(part, 1 - beyond / length, 1, length)
    return make_bone(rng, shape, material, plate)


def _radius_outline(beyond: float, half: float, shaft: float) -> tuple[Profile, Profile]:
    """(mm from the tip, half width in mm), radial side with the styloid, then ulnar side."""
    flare = [
        (beyond + 1.0 * half, 0.80 * half),
        (beyond + 2.2 * half, 1.25 * shaft),
        (beyond + 4 * half, 1.06 * shaft),
    ]
    end = [(9 * half, shaft)]
    radial = [(0, 0.82 * half), (0.5 * beyond, half), (beyond, 0.99 * half), *flare, *end]
    ulnar = [(0, 0.60 * half), (0.5 * beyond, 0.96 * half), (beyond, 0.98 * half), *flare, *end]
    return radial, ulnar


def _ulna_outline(beyond: float, half: float, shaft: float) -> tuple[Profile, Profile]:
    flare = [
        (beyond + 1.3 * half, 0.92 * half),
        (beyond + 3.2 * half, 1.15 * shaft),
        (beyond + 6 * half, shaft),
    ]
    end = [(14 * half, shaft)]
    radial = [(0, 0.50 * half), (0.5 * beyond, 0.92 * half), (beyond, 0.98 * half), *flare, *end]
    ulnar = [(0, 0.70 * half), (0.5 * beyond, 0.95 * half), (beyond, 0.98 * half), *flare, *end]
    return radial, ulnar


def _along(from_tip: Profile, length: float) -> Profile:
    """Turn (mm from the distal tip, value) into rising (t, value)."""
    rising = sorted((1 - distance / length, value) for distance, value in from_tip)
    least = 1 / STATIONS
    return [(max(t, i * least * 0.01), value) for i, (t, value) in enumerate(rising)]
