"""A contact sheet: films of a cohort at a glance, every second one with its true outlines."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipelines.contact_sheet import Picture, paint_outlines, stamped, tiled, write_png
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.film import Film, render, subject_of
from pipelines.progress import Progress, silent

CELL_ROWS = 320


def write_preview(
    path: Path, config: PhantomsConfig, films: int = 24, columns: int = 8, progress: Progress = silent
) -> Path:
    """Write a PNG contact sheet of the cohort's first subjects."""
    cv2.setNumThreads(0)
    cells = []
    for number in range(films):
        cells.append(_cell(render(subject_of(config, number), 0, config), outlined=number % 2 == 1))
        progress(number + 1, films, "films")
    return write_png(path, stamped(tiled(cells, columns)))


def _cell(film: Film, outlined: bool) -> Picture:
    """One film as a viewer shows it: bone bright, optionally with the truth's outlines."""
    gray = film.pixels.astype(np.float32) / (2**film.bits - 1)
    gray = 1 - gray if film.photometric == "MONOCHROME1" else gray
    size = (max(1, round(film.pixels.shape[1] * CELL_ROWS / film.pixels.shape[0])), CELL_ROWS)
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    cell = np.repeat((255 * small).astype(np.uint8)[..., None], 3, axis=2)
    if outlined:
        paint_outlines(cell, cv2.resize(film.truth_HW, size, interpolation=cv2.INTER_NEAREST))
    return cell
