"""A contact sheet: one exam per row, its spot films in order, every second row with the tubes' outlines."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipelines.contact_sheet import AMBER, Picture, paint_outlines, stamped, tiled, write_png, write_words
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.hsg.cohort import check_config, exams_of, scene_of
from pipelines.phantoms.hsg.film import Film, Scene
from pipelines.progress import Progress, silent

CELL = 256
FILMS = 7
WOMEN = 200  # among whom kinds are looked for


def write_preview(path: Path, config: PhantomsConfig, exams: int = 10, progress: Progress = silent) -> Path:
    """Write a PNG contact sheet: of the first women's first exams, as many kinds as there are."""
    check_config(config)
    cv2.setNumThreads(0)
    cells = []
    kinds = {exams_of(config, number)[0].kind: number for number in reversed(range(WOMEN))}
    for number, woman in enumerate(list(kinds.values())[-exams:]):
        scene = scene_of(config, woman, 0)
        row = [
            _cell(scene.film(place, moment), scene, number % 2 == 1)
            for place, moment in enumerate(scene.moments()[:FILMS])
        ]
        cells += row + [np.zeros((CELL, CELL, 3), np.uint8)] * (FILMS - len(row))
        progress(number + 1, exams, "exams")
    return write_png(path, stamped(tiled(cells, FILMS)))


def _cell(film: Film, scene: Scene, outlined: bool) -> Picture:
    """One film as a viewer shows it, with the exam's kind and the tubes' states."""
    gray = film.pixels.astype(np.float32) / (2**scene.room.bits - 1)
    gray = 1 - gray if scene.room.monochrome1 else gray
    small = cv2.resize(gray, (CELL, CELL), interpolation=cv2.INTER_AREA)
    cell = np.repeat((255 * small).astype(np.uint8)[..., None], 3, axis=2)
    if outlined:
        paint_outlines(cell, cv2.resize(film.truth_HW, (CELL, CELL), interpolation=cv2.INTER_NEAREST))
    words = f"{scene.exam.kind} {scene.exam.right.state}/{scene.exam.left.state} {film.moment.name}"
    write_words(cell, words, (5, CELL - 6), AMBER, 0.36)
    return cell
