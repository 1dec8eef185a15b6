"""Independent random streams: the same seed, subject, film and purpose give the same numbers, always."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What the random numbers are for; a change in one purpose leaves the others untouched."""

    SUBJECT = 0
    POSE = 1
    ANATOMY = 2
    APPEARANCE = 3
    ANNOTATORS = 4
    OUTCOME = 5
    SHORTCUT = 6


def stream(seed: int, subject: int, film: int, purpose: Stream) -> np.random.Generator:
    """Return the generator of one purpose for one film of one subject."""
    return np.random.default_rng([seed, subject, film, int(purpose)])
