"""What every bone of one hand has in common: the subject, the anatomy's random numbers, shared lengths."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipelines.phantoms.bones import Material
from pipelines.phantoms.growth import epiphysis
from pipelines.phantoms.plates import Plate, metaphyseal_plate
from pipelines.phantoms.profiles import Profile
from pipelines.phantoms.subject import SubjectGeometry

# half width of a metacarpal's shaft over the length of metacarpal 3 (7.9 mm over 67.7 mm in women)
SHAFT_HALF_WIDTH = 0.0585


@dataclass(slots=True)
class Build:
    """What every builder needs: the subject, the anatomy's random stream, and lengths derived from them."""

    subject: SubjectGeometry
    rng: np.random.Generator
    shaft_mm: float = field(init=False)
    joint_gap: float = field(init=False)
    depth_ratio: float = field(init=False)
    density: float = field(init=False)

    def __post_init__(self) -> None:
        subject = self.subject
        # infants' bones are stubbier, and cartilage widens their joints
        young = max(0.0, 1 - subject.bone_age_years / 14)
        self.shaft_mm = SHAFT_HALF_WIDTH * subject.metacarpal3_mm * subject.robustness * (1 + 0.20 * young)
        self.joint_gap = self.rng.uniform(0.008, 0.020) + 0.035 * young
        self.depth_ratio = self.rng.uniform(0.85, 1.10)
        self.density = float(np.exp(self.rng.normal(0, 0.08)))

    def vary(self, value: float, spread: float = 0.06) -> float:
        """Return the value with a relative normal error."""
        return value * (1 + self.rng.normal(0, spread))

    def material(self, label: int = 0) -> Material:
        """Return what a bone of this hand is made of; the study's bones have an index of their own."""
        health = self.subject.health
        return Material(
            index=float(health.bone_index_7[label - 1]) if label else health.cortical_index,
            scalloping=health.scalloping,
            density=self.density if label else 0.95 * self.density,
            depth_ratio=self.depth_ratio,
        )

    def plate(self, part: str, at: float, side: int, length_mm: float) -> Plate | None:
        """Return this subject's growth plate of a part, or None once it has fused."""
        age = self.subject.bone_age_years + self.rng.normal(0, 0.4) * (not self.subject.grown)
        return metaphyseal_plate(self.rng, epiphysis(part, age), at, side, length_mm)


def scaled(shaft_mm: float, relative: Profile) -> Profile:
    """Turn half widths relative to the shaft into mm."""
    return [(t, shaft_mm * width) for t, width in relative]
