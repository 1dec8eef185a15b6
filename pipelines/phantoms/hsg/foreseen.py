"""What a cohort of hysterosalpingographies will hold, before any film is drawn."""

from __future__ import annotations

from pipelines.outcomes.tubes import tube_outcome
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.hsg.case import LOOP_FRAMES
from pipelines.phantoms.hsg.cohort import exams_of, told


def foreseen_exams(config: PhantomsConfig, rule: str) -> tuple[int, list[bool]]:
    """How many frames a cohort will have, and of every woman with a known outcome whether an exam is positive."""
    frames, positive = 0, []
    for number in range(config.subjects + config.unlabelled):
        exams = exams_of(config, number)
        frames += sum(len(exam.spots) + LOOP_FRAMES * exam.loop + exam.capture for exam in exams)
        if number < config.subjects:
            known = [told(config, number, order) for order in range(len(exams))]
            outcomes = [tube_outcome(rule, one.right.state, one.left.state, one.occluded) for one in known]
            if decided := [outcome for outcome in outcomes if outcome is not None]:
                positive.append(1 in decided)
    return frames, positive
