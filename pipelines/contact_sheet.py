"""Films side by side in one picture, with the outlines of what is marked on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.atomic import write_bytes

# blue, green, red: one colour per region, then again from the first
_COLOURS_73 = np.array(
    [
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


def paint_outlines(cell_HW3: NDArray[np.uint8], labels_HW: NDArray[np.uint8]) -> None:
    """Draw the edges of a label map's regions onto a picture of the same size, in place."""
    square = np.ones((3, 3), np.uint8)
    rim = cv2.morphologyEx(labels_HW, cv2.MORPH_GRADIENT, square) > 0
    cell_HW3[rim] = _COLOURS_73[(cv2.dilate(labels_HW, square)[rim].astype(int) - 1) % len(_COLOURS_73)]


def tiled(cells: Sequence[NDArray[Any]], columns: int) -> NDArray[Any]:
    """Cells of one size in rows; the last row is filled up with black."""
    blank = np.zeros_like(cells[0])
    full = [*cells, *[blank] * (-len(cells) % columns)]
    rows = [np.concatenate(full[start : start + columns], axis=1) for start in range(0, len(full), columns)]
    return np.concatenate(rows, axis=0)


def write_png(path: Path, picture_HW3: NDArray[Any]) -> Path:
    """Write a picture in blue, green and red."""
    write_bytes(path, cv2.imencode(".png", picture_HW3)[1].tobytes())
    return path
