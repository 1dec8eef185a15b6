"""When the parts of a hand ossify and fuse: epiphyses, growth plates and carpals at a bone age in years.

Ages are rounded from Greulich and Pyle's atlas (mean of girls and boys); bone age itself carries the
variation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# part: (years at which its centre appears, years at which it has fused)
EPIPHYSES = {
    "radius": (1.1, 17.5),
    "ulna": (6.0, 17.2),
    "metacarpal1": (2.1, 15.2),
    "metacarpal": (1.6, 15.8),
    "proximal": (1.2, 15.6),
    "middle": (1.6, 15.6),
    "distal": (1.7, 15.0),
}
# carpal: (years at which its centre appears, years at which it has its adult outline)
CARPALS = {
    "capitate": (0.2, 11.0),
    "hamate": (0.3, 12.0),
    "triquetrum": (2.5, 12.0),
    "lunate": (3.8, 12.5),
    "scaphoid": (5.3, 13.0),
    "trapezium": (5.0, 13.0),
    "trapezoid": (5.4, 13.0),
    "pisiform": (10.0, 14.0),
}
SESAMOID_YEARS = 12.5
YEARS_TO_FULL_WIDTH = 6.5


@dataclass(frozen=True, slots=True)
class Epiphysis:
    """One growth plate on one film.

    size: 0 not ossified, 1 as wide as the metaphysis; gap: 0 fused, 1 the wide cartilage of infancy.
    """

    size: float
    gap: float


def epiphysis(part: str, bone_age_years: float) -> Epiphysis:
    """Return how far the epiphysis of `part` has come at this bone age."""
    onset, fusion = EPIPHYSES[part]
    age = bone_age_years
    size = np.clip((age - onset) / YEARS_TO_FULL_WIDTH, 0, 1) ** 0.6
    gap = np.clip((fusion - age) / (fusion - onset), 0, 1) ** 0.55
    return Epiphysis(float(size), float(gap))


def carpal_size(carpal: str, bone_age_years: float) -> float:
    """Return the size of a carpal relative to its adult size; 0 before its centre appears."""
    onset, finished = CARPALS[carpal]
    done = (bone_age_years - onset) / (finished - onset)
    return 0.0 if done <= 0 else float(0.4 + 0.6 * min(done, 1.0) ** 0.8)


def metacarpal3_mm(age_years: float) -> float:
    """Return the mean length of the third metacarpal: about 29 mm at 2 years, 50 at 10, 65 when grown."""
    return float(20.0 + 45.5 * min(age_years / 17.0, 1.0) ** 0.72)
