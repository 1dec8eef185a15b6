"""All bones of one hand in one pose: the seven of the study and the distractors around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.bones import Bone
from pipelines.phantoms.build import Build
from pipelines.phantoms.carpals import Carpal, make_carpals, make_sesamoids
from pipelines.phantoms.forearm import make_forearm
from pipelines.phantoms.rays import make_fingers
from pipelines.phantoms.skeleton import pose_hand
from pipelines.phantoms.subject import SubjectGeometry
from pipelines.phantoms.thumb import make_thumb


@dataclass(frozen=True, slots=True)
class Hand:
    """A posed hand: landmarks in mm, tubular bones, carpals and sesamoids."""

    landmarks_372: Floats
    bones: list[Bone]
    carpals: list[Carpal]


def make_hand(
    subject: SubjectGeometry, pose: np.random.Generator, anatomy: np.random.Generator, looseness: float
) -> Hand:
    """Pose the subject's hand and put its bones onto the landmarks.

    `pose` differs from film to film; `anatomy` must start in the same state for every film of a subject.
    """
    landmarks_372 = pose_hand(pose, subject.landmarks_372, looseness) * subject.metacarpal3_mm
    build = Build(subject, anatomy)
    bones = (
        make_forearm(build, landmarks_372)
        + make_fingers(build, landmarks_372)
        + make_thumb(build, landmarks_372)
    )
    carpals = make_carpals(build, landmarks_372) + make_sesamoids(build, landmarks_372)
    return Hand(landmarks_372, bones, carpals)
