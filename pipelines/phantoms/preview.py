"""A contact sheet: films of a cohort at a glance, every second one with its true outlines."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.film import Film, render, subject_of
from pipelines.progress import Progress, silent
from storage.atomic import write_bytes

CELL_ROWS = 320
# blue, green, red: one colour per region
COLOURS_83 = np.array(
    [
        [0, 0, 0],
        [66, 99, 235],
        [80, 175, 76],
        [235, 160, 60],
        [60, 190, 240],
        [200, 90, 220],
        [210, 200, 70],
        [90, 140, 250],
    ],
    np.uint8,
)


def write_preview(
    path: Path, config: PhantomsConfig, films: int = 24, columns: int = 8, progress: Progress = silent
) -> Path:
    """Write a PNG contact sheet of the cohort's first subjects."""
    cv2.setNumThreads(0)
    cells = []
    for number in range(films):
        cells.append(_cell(render(subject_of(config, number), 0, config), outlined=number % 2 == 1))
        progress(number + 1, films, "films")
    blank = np.zeros_like(cells[0])
    cells += [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    encoded = cv2.imencode(".png", np.concatenate(rows, axis=0))[1].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, encoded)
    return path


def _cell(film: Film, outlined: bool) -> Floats:
    """One film, HxWx3 uint8, as a viewer shows it: bone bright, optionally with the truth's outlines."""
    gray = film.pixels.astype(np.float32) / (2**film.bits - 1)
    gray = 1 - gray if film.photometric == "MONOCHROME1" else gray
    size = (max(1, round(film.pixels.shape[1] * CELL_ROWS / film.pixels.shape[0])), CELL_ROWS)
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    cell = np.repeat((255 * small).astype(np.uint8)[..., None], 3, axis=2)
    if outlined:
        truth = cv2.resize(film.truth_HW, size, interpolation=cv2.INTER_NEAREST)
        rim = cv2.morphologyEx(truth, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        cell[rim] = COLOURS_83[cv2.dilate(truth, np.ones((3, 3), np.uint8))[rim]]
    return cell
