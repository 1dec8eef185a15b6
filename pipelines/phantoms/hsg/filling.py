"""Where contrast is at one moment of an exam: what a film at that moment could show at best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.hsg.anatomy import Uterus, cavity, empty, lumen
from pipelines.phantoms.hsg.case import Exam
from pipelines.phantoms.hsg.spill import free_spill, pocket, reflux, veins
from pipelines.phantoms.hsg.splat import Cloud

INJECTED = 1.1  # time at which injection has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """Contrast at one time; pairs are right, left.

    cavity: 0 to 1; front: share of a tube's length; spilt: what came out of a tube; near: free contrast that
    lies around a tube's end, whichever tube it came from; drained: share that has run off after the injection.
    """

    time: float
    cavity: float
    front: tuple[float, float]
    spilt: tuple[float, float]
    near: tuple[float, float]
    drained: float


def filling(exam: Exam, time: float) -> Filling:
    """Contrast of an exam at a time."""
    pushed = time * min(1.0, exam.volume)
    right, left = (tube.front(pushed) for tube in exam.tubes)
    out_right, out_left = (tube.spill(pushed) for tube in exam.tubes)
    free_right, free_left = (
        0.0 if tube.pocket else amount for tube, amount in zip(exam.tubes, (out_right, out_left), strict=True)
    )
    drained = float(np.clip((time - INJECTED) / 0.2, 0, 1))
    full = float(np.clip(pushed / 0.2, 0, 1)) * (0.65 + 0.35 * min(1.0, exam.volume))
    return Filling(
        time=time,
        cavity=full * (1 - 0.75 * drained),
        front=(right, left),
        spilt=(out_right, out_left),
        near=(
            free_right * (1 - exam.crosses) + free_left * exam.crosses,
            free_left * (1 - exam.crosses) + free_right * exam.crosses,
        ),
        drained=drained,
    )


@dataclass(frozen=True, slots=True)
class Instruments:
    """Catheter and air in one exam, in the cavity's own mm; see `anatomy.cavity`."""

    balloon_3: tuple[float, float, float]
    bubbles_B3: Floats


def draw_instruments(rng: np.random.Generator, uterus: Uterus) -> Instruments:
    """A balloon low in the cavity or none; up to four air bubbles."""
    balloon = (
        (rng.uniform(3, 9), rng.normal(0, 1), rng.uniform(3, 6)) if rng.random() < 0.5 else (0.0, 0.0, 0.0)
    )
    count = int(rng.choice([0, 0, 0, 1, 2, 4]))
    bubbles_B3 = rng.uniform((8, -9, 1), (30, 9, 2.4), (count, 3)) * (uterus.length / 36)
    return Instruments(tuple(map(float, balloon)), bubbles_B3)  # type: ignore[arg-type]


def contrast(seed: int, uterus: Uterus, exam: Exam, now: Filling, instruments: Instruments) -> list[Cloud]:
    """All contrast at one moment. seed: of the exam, so that streaks grow where they were before."""
    if now.time <= 0:
        return []
    drift = np.random.default_rng([seed, 1]).normal(0, 4, (9, 3)) * now.time  # bubbles move
    bubbles_B3 = instruments.bubbles_B3 + np.pad(drift[: len(instruments.bubbles_B3), :2], ((0, 0), (0, 1)))
    clouds = [cavity(uterus, now.cavity, instruments.balloon_3, bubbles_B3)]
    for side, tube in enumerate(exam.tubes):
        shape, other = uterus.tubes[side], uterus.tubes[1 - side]
        left_over = 1 - 0.8 * now.drained * (not tube.dilated)
        clouds.append(_faded(lumen(shape, now.front[side]), left_over))
        rng = np.random.default_rng([seed, 2, side])
        if tube.pocket:
            clouds.append(pocket(rng, shape.fimbria_3, now.spilt[side]))
        else:
            spread = now.spilt[side] * (1 + 0.8 * now.drained)
            spilt = free_spill(rng, shape.fimbria_3, other.fimbria_3, spread, exam.crosses)
            clouds.append(_faded(spilt, 1 - 0.5 * now.drained))
    if exam.intravasates:
        clouds.append(
            veins(np.random.default_rng([seed, 3]), uterus, 1.6 * (now.time - 0.3) * (1 - now.drained))
        )
    clouds.append(
        reflux(np.random.default_rng([seed, 4]), uterus, exam.reflux * np.clip(now.time / 0.6, 0, 1))
    )
    return clouds


def _faded(cloud: Cloud, share: float) -> Cloud:
    return Cloud(cloud.points_N3, cloud.volume_N * share) if len(cloud.volume_N) else empty()
