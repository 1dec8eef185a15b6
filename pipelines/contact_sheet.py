"""Films side by side in one picture, with the outlines of what is marked on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.atomic import write_bytes

# Bright enough for a dark film, dark enough for white paper, neighbours on the hand far apart in hue.
REGION_COLOURS = ("#4f8fe8", "#22b3a0", "#f0a02e", "#e5594f", "#a774dd", "#6dbb4c", "#e57fb4")
STAMP, BAND = "PHANTOM DATA", 28
AMBER, GRAY = (60, 170, 240), (190, 190, 190)  # blue, green, red

_COLOURS_73 = np.array(
    [[int(colour[at : at + 2], 16) for at in (5, 3, 1)] for colour in REGION_COLOURS], np.uint8
)

Picture = NDArray[np.uint8]


def paint_outlines(cell_HW3: Picture, labels_HW: NDArray[np.uint8]) -> None:
    """Draw the edges of a label map's regions onto a picture of the same size, in place."""
    square = np.ones((3, 3), np.uint8)
    rim = cv2.morphologyEx(labels_HW, cv2.MORPH_GRADIENT, square) > 0
    cell_HW3[rim] = _COLOURS_73[(cv2.dilate(labels_HW, square)[rim].astype(int) - 1) % len(_COLOURS_73)]


def tiled(cells: Sequence[Picture], columns: int) -> Picture:
    """Cells of one size in rows; the last row is filled up with black."""
    blank = np.zeros_like(cells[0])
    full = [*cells, *[blank] * (-len(cells) % columns)]
    rows = [np.concatenate(full[start : start + columns], axis=1) for start in range(0, len(full), columns)]
    return np.concatenate(rows, axis=0)


def stamped(picture_HW3: Picture) -> Picture:
    """The picture below a band that says PHANTOM DATA."""
    band = np.zeros((BAND, picture_HW3.shape[1], 3), np.uint8)
    write_words(band, STAMP, (6, 20), AMBER, 0.6)
    return np.concatenate([band, picture_HW3])


def write_words(
    picture_HW3: Picture, text: str, at: tuple[int, int], colour: tuple[int, int, int], size: float
) -> None:
    """Write onto the picture, in place; at: x and y of the first letter's foot."""
    cv2.putText(picture_HW3, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def write_png(path: Path, picture_HW3: Picture) -> Path:
    """Write a picture in blue, green and red."""
    write_bytes(path, cv2.imencode(".png", picture_HW3)[1].tobytes())
    return path
