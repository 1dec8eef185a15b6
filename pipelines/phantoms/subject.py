"""Who is on the films: one subject's traits, all that stays the same from film to film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.effects import BoneHealth, draw_child_health, draw_health
from pipelines.phantoms.growth import metacarpal3_mm
from pipelines.phantoms.skeleton import draw_landmarks

SHARE_MISSING = 0.03
SHARE_TWO_FILMS = 0.10
SHARE_FEMALE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectGeometry:
    """One subject.

    landmarks_372: resting hand in units of its third metacarpal's length, x towards the thumb, y towards the
    elbow; robustness: bone widths relative to the average; flesh: soft tissue relative to the average;
    bone_age_years: 25 when grown; missing: "" or "ray" (an amputated ray, `missing_label` says which) or
    "forearm" (outside the field); sides: laterality of each film; effect of the outcome: `health`.
    """

    number: int
    patient_id: str
    labelled: bool
    sex: str
    age_years: float
    bone_age_years: float
    weight_kg: float
    dxa_days: int
    dxa_site: str
    health: BoneHealth
    landmarks_372: Floats
    metacarpal3_mm: float
    robustness: float
    flesh: float
    missing: str
    missing_label: int
    sides: tuple[str, ...]

    @property
    def grown(self) -> bool:
        """Whether every growth plate has closed."""
        return self.bone_age_years >= 18


def draw_subject(rng: np.random.Generator, config: PhantomsConfig, number: int) -> SubjectGeometry:
    """Draw subject `number` of a cohort; geometry only, nothing is rendered."""
    adult = config.population == "adult"
    health = draw_health(rng, str(config.effect)) if adult else draw_child_health(rng)
    sex = "F" if rng.random() < (SHARE_FEMALE if adult else 0.5) else "M"
    age = _adult_age(rng, health.t_score) if adult else _child_age(rng)
    bone_age = 25.0 if adult else float(np.clip(age + rng.normal(0, 0.06 * age + 0.2), 0.1, 25))
    stature = rng.normal(0, 0.05) + (0.0 if not adult else 0.03 if sex == "M" else -0.035)
    missing = str(rng.choice(["ray", "forearm"])) if rng.random() < SHARE_MISSING else ""
    first = str(rng.choice(["L", "R"]))
    both = rng.random() < SHARE_TWO_FILMS
    return SubjectGeometry(
        number=number,
        patient_id=f"PHANTOM-{config.seed}-{number:05d}",
        labelled=adult and number < config.subjects,
        sex=sex,
        age_years=round(age, 1),
        bone_age_years=bone_age,
        weight_kg=round(float(np.clip(rng.normal(68 if adult else 8 + 3 * age, 5 + 0.12 * age), 6, 140)), 1),
        dxa_days=int(rng.integers(-180, 181)),
        dxa_site=str(rng.choice(["lumbar_spine", "femoral_neck", "total_hip"])),
        health=health,
        landmarks_372=draw_landmarks(rng),
        metacarpal3_mm=metacarpal3_mm(age) * float(np.exp(stature)),
        robustness=float(np.exp(rng.normal(0.03 if sex == "M" else -0.02, 0.08))),
        flesh=float(rng.uniform(0.80, 1.30)),
        missing=missing,
        missing_label=int(rng.integers(3, 8)) if missing == "ray" else 0,
        sides=(first, "R" if first == "L" else "L") if both else (first,),
    )


def _adult_age(rng: np.random.Generator, t_score: float) -> float:
    """Older where T is lower; age shapes nothing on the film, so it is a confounder of the outcome alone."""
    return float(np.clip(66 - 2.5 * (t_score + 1.7) + rng.normal(0, 9), 40, 92))


def _child_age(rng: np.random.Generator) -> float:
    """Between birth and 18 years, schoolchildren most, as in bone-age series."""
    return float(rng.uniform(0.4, 18.0) if rng.random() < 0.45 else np.clip(rng.normal(11.5, 3.6), 0.4, 18.0))
