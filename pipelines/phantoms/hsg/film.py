"""Films of one exam: anatomy, contrast at a time, projection, exposure, and the truth in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.phantoms.arrays import Labels, Pixels
from pipelines.phantoms.hsg.anatomy import FIMBRIA_FROM, Uterus, body, draw_uterus
from pipelines.phantoms.hsg.case import LOOP_FRAMES, Exam
from pipelines.phantoms.hsg.filling import Filling, Instruments, contrast, draw_instruments, filling
from pipelines.phantoms.hsg.pelvis import background, metal
from pipelines.phantoms.hsg.receptor import Receptor, bent, draw_receptor, expose, field, finished, iodine
from pipelines.phantoms.hsg.splat import View, path_mm, rotation

MARGIN = 24  # pixels of background around a film, at 256; films of one exam are moved against each other
LOOP_QUANTA = 0.06  # dose of a fluoroscopic frame, of that of a spot film
_SCENE, _FILM = 1, 2  # purposes of random streams; a trailing 0 would be no other stream
VISIBLE_MM = 0.6  # path of contrast that is counted as its area


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When and how a film is taken: time in the exam, fluoroscopic or not, degrees of obliquity, name."""

    time: float
    loop: bool
    oblique: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One frame as stored, and its truth.

    truth_HW: 0 background, 1 right tube, 2 left tube, 3 right fimbria, 4 left fimbria, whole tubes whether
    filled or not; contrast_mm2: area of the film under contrast.
    """

    pixels: Pixels
    truth_HW: Labels
    contrast_mm2: float
    now: Filling
    moment: Moment


class Scene:
    """One exam, ready to be filmed; what stays the same over its films is made once."""

    def __init__(self, exam: Exam, seeds: tuple[int, ...], side: int) -> None:
        """seeds: of the exam (cohort, woman, number); side: of a film in pixels."""
        rng = np.random.default_rng([*seeds, _SCENE])
        self.exam, self.side, self._seeds = exam, side, seeds
        self.room: Receptor = draw_receptor(rng)
        self.uterus: Uterus = draw_uterus(rng, exam)
        self._instruments: Instruments = draw_instruments(rng, self.uterus)
        self.mm = float(rng.uniform(145, 195)) / side
        centre_3 = np.array([rng.normal(0, 5), rng.normal(-8, 7), 0.0])
        self._margin = max(2, round(MARGIN * side / 256))
        self._view = View(side, self.mm, centre_3, np.eye(3))
        wide = View(side + 2 * self._margin, self.mm, centre_3, np.eye(3))
        canal_end_3 = -(self.uterus.frame_33[:, 1] + np.array([0.0, -1.0, 0.0])) / 2 * 28
        self._scout_HW = background(rng, wide)
        self._behind_HW = self._scout_HW + metal(rng, wide, canal_end_3)
        self._field_HW = field(rng, self.room, side)
        self._streaks = int(rng.integers(2**31))

    def moments(self) -> list[Moment]:
        """Spot films in order, then the frames of a loop during the filling."""
        spots = [
            Moment(time=time, loop=False, oblique=25.0 if name == "oblique" else 0.0, name=name)
            for time, name in self.exam.spots
        ]
        if self.exam.loop:
            spots += [
                Moment(time=round(float(time), 4), loop=True, oblique=0.0, name="loop")
                for time in np.linspace(0.12, 0.62, LOOP_FRAMES)
            ]
        return spots

    def film(self, number: int, moment: Moment) -> Film:
        """Render one frame; the same exam, number and moment give the same bytes."""
        rng = np.random.default_rng([*self._seeds, _FILM, number])
        now = filling(self.exam, moment.time)
        view = self._moved(rng, moment)
        clouds = contrast(self._streaks, self.uterus, self.exam, now, self._instruments)
        path_HW = path_mm(view, clouds)
        base_HW = self._scout_HW if moment.time <= 0 else self._behind_HW
        margin, shift = self._margin, rng.integers(-self._margin // 3, self._margin // 3 + 1, 2)
        top, left = margin + int(shift[0]), margin + int(shift[1])
        depth_HW = base_HW[top : top + self.side, left : left + self.side] + iodine(path_HW, self.room.kvp)
        depth_HW = np.asarray(bent(depth_HW, self.room, exact=False), np.float32)
        quanta = self.room.spot_quanta_per_mm2 * (LOOP_QUANTA if moment.loop else 1)
        level_HW = expose(rng, depth_HW, self.room, self.mm, quanta)
        words = f"HSG {number + 1:02d}\n{self.room.kvp:.0f} kV" + ("\nLIH" if moment.loop else "")
        truth_HW = np.asarray(bent(self._truth(view), self.room, exact=True), np.uint8)
        return Film(
            pixels=finished(rng, level_HW, self._field_HW, self.room, words),
            truth_HW=np.where(self._field_HW > 0.5, truth_HW, 0).astype(np.uint8),
            contrast_mm2=float((path_HW > VISIBLE_MM).sum() * self.mm**2),
            now=now,
            moment=moment,
        )

    def _moved(self, rng: np.random.Generator, moment: Moment) -> View:
        """The beam of one film: breathing, a push of the table, an oblique turn."""
        turn = moment.oblique * float(rng.choice([-1, 1])) + rng.normal(0, 2)
        shift_3 = np.append(rng.normal(0, 2.5, 2), 0.0)
        return View(self.side, self.mm, self._view.centre_3 + shift_3, rotation("y", turn))

    def _truth(self, view: View) -> Labels:
        """Both tubes, and over them both fimbriae, at least two pixels wide."""
        truth_HW = np.zeros((self.side, self.side), np.uint8)
        square = np.ones((3, 3), np.uint8)
        for first, (start, stop) in ((1, (0.0, FIMBRIA_FROM)), (3, (FIMBRIA_FROM, 1.0))):
            for offset, shape in enumerate(self.uterus.tubes):
                there = path_mm(view, [body(shape, start, stop)]) > 0.02
                truth_HW[cv2.dilate(there.astype(np.uint8), square) > 0] = first + offset
        return truth_HW
