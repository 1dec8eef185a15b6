"""Shortcuts: cohorts whose outcome shows in something that is no bone, as a hospital's habits may make it.

A model that reads the bones alone stays at the oracle's AUC; one that takes the shortcut goes beyond it, and the
report says so. Meant for `effect=null`, where nothing else can be learnt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.effects import OUTCOME_THRESHOLD
from pipelines.phantoms.streams import Stream, stream
from pipelines.phantoms.subject import SubjectGeometry

# Of subjects, whose sign agrees with their outcome.
AGREEMENT = 0.9
SIZE_RATIO = 1.12


@dataclass(frozen=True, slots=True)
class Shortcut:
    """kind: marker, exposure, vendor, size, side or none; sign: whether this subject bears what the ill mostly do."""

    kind: str
    sign: bool

    def choose(self, kind: str, drawn: int, choices: int) -> int:
        """One of `choices`, an even number: as drawn, but for this kind of shortcut from the sign's half."""
        return drawn % (choices // 2) + (choices // 2) * (not self.sign) if self.kind == kind else drawn

    def squeeze(self, kind: str, drawn: float, low: float, high: float) -> float:
        """A draw from [low, high]; for this kind of shortcut within the sign's half of it."""
        if self.kind != kind:
            return drawn
        return (drawn - low) / 2 + (low if self.sign else (low + high) / 2)


def shortcut_of(subject: SubjectGeometry, config: PhantomsConfig) -> Shortcut:
    """The subject's sign; unlabelled subjects bear it as labelled ones do."""
    if config.shortcut == "none":
        return Shortcut("none", False)
    rng = stream(config.seed, subject.number, 0, Stream.SHORTCUT)
    agrees = bool(rng.random() < AGREEMENT)
    return Shortcut(config.shortcut, is_ill(subject) == agrees)


def is_ill(subject: SubjectGeometry) -> bool:
    """The outcome, which follows the T-score as the CSV gives it."""
    return bool(np.round(subject.health.t_score, 2) <= OUTCOME_THRESHOLD)


def with_body(subject: SubjectGeometry, shortcut: Shortcut) -> SubjectGeometry:
    """The subject with what the shortcut does to hands: their size, and which one is filmed."""
    if shortcut.kind == "size":
        ratio = 1 / SIZE_RATIO if shortcut.sign else SIZE_RATIO
        return replace(subject, metacarpal3_mm=subject.metacarpal3_mm * ratio)
    if shortcut.kind == "side":
        return replace(subject, sides=("L" if shortcut.sign else "R",))
    return subject
