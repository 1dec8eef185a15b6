"""Which pixels of a film show the patient: not what shutters, collimators and padding hide.

Coordinates count rows and columns from 1 (PS3.3 C.7.6.11 display shutter, C.8.7.3 collimator); padding is a
value or a range of stored values (PS3.3 C.7.5.1.1.2). The pixels themselves stay as they are.
"""

from __future__ import annotations

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.multival import MultiValue

Valid = NDArray[np.bool_]

_KINDS = ("Shutter", "Collimator")
_LEAST_SHOWN = 0.25  # of the film
KEYWORDS = [
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ShutterShape", "CollimatorShape"),
    *(f"{kind}{edge}" for kind in _KINDS for edge in ("LeftVerticalEdge", "RightVerticalEdge")),
    *(f"{kind}{edge}" for kind in _KINDS for edge in ("UpperHorizontalEdge", "LowerHorizontalEdge")),
    *(f"{name}{kind}" for kind in _KINDS for name in ("CenterOfCircular", "RadiusOfCircular")),
    *(f"VerticesOfThePolygonal{kind}" for kind in _KINDS),
]


def valid_pixels(dataset: pydicom.Dataset, stored_HW: NDArray[np.integer]) -> Valid | None:
    """HxW, false where a pixel shows nothing of the patient; None where all do.

    stored_HW: stored values, before any lookup. An outline that leaves less than a quarter of the film is not
    believed: some headers give collimator edges in millimetres. Nor is one that is damaged.
    """
    if "PixelPaddingValue" not in dataset and not any(f"{kind}Shape" in dataset for kind in _KINDS):
        return None
    valid_HW = np.ones(stored_HW.shape, bool)
    for kind in _KINDS:
        for outline in _words(dataset, f"{kind}Shape"):
            shown_HW = _inside(dataset, kind, outline, stored_HW.shape)
            if shown_HW is not None and (valid_HW & shown_HW).mean() >= _LEAST_SHOWN:
                valid_HW &= shown_HW
    padding_HW = _padding(dataset, stored_HW)
    if padding_HW is not None and (valid_HW & ~padding_HW).any():
        valid_HW &= ~padding_HW
    return None if valid_HW.all() else valid_HW


def _inside(dataset: pydicom.Dataset, kind: str, outline: str, shape: tuple[int, ...]) -> Valid | None:
    try:
        if outline == "RECTANGULAR":
            return _rectangle(dataset, kind, shape)
        if outline == "CIRCULAR":
            return _circle(dataset, kind, shape)
        if outline == "POLYGONAL":
            return _polygon(dataset, kind, shape)
    except (AttributeError, TypeError, ValueError):
        return None
    return None


def _rectangle(dataset: pydicom.Dataset, kind: str, shape: tuple[int, ...]) -> Valid:
    """Rows and columns from edge to edge, the edges themselves included."""
    names = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
    top, bottom, left, right = (int(getattr(dataset, f"{kind}{name}")) for name in names)
    shown_HW = np.zeros(shape, bool)
    shown_HW[max(0, top - 1) : max(0, bottom), max(0, left - 1) : max(0, right)] = True
    return shown_HW


def _circle(dataset: pydicom.Dataset, kind: str, shape: tuple[int, ...]) -> Valid:
    row, column = (int(value) for value in getattr(dataset, f"CenterOfCircular{kind}"))
    radius = int(getattr(dataset, f"RadiusOfCircular{kind}"))
    rows_H1, columns_1W = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    shown_HW: Valid = (rows_H1 - row) ** 2 + (columns_1W - column) ** 2 <= radius**2
    return shown_HW


def _polygon(dataset: pydicom.Dataset, kind: str, shape: tuple[int, ...]) -> Valid:
    """Vertices as row and column pairs; the outline itself included."""
    numbers = [int(value) for value in getattr(dataset, f"VerticesOfThePolygonal{kind}")]
    corners = [(column - 1, row - 1) for row, column in zip(numbers[::2], numbers[1::2], strict=True)]
    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon(corners, fill=1, outline=1)
    return np.asarray(canvas)


def _padding(dataset: pydicom.Dataset, stored_HW: NDArray[np.integer]) -> Valid | None:
    try:
        value = int(dataset.PixelPaddingValue)
        limit = int(dataset.get("PixelPaddingRangeLimit", value))
    except (AttributeError, TypeError, ValueError):
        return None
    low, high = sorted((value, limit))
    padding_HW: Valid = (stored_HW >= low) & (stored_HW <= high)
    return padding_HW


def _words(dataset: pydicom.Dataset, keyword: str) -> list[str]:
    """The values of a multi-valued word."""
    value = dataset.get(keyword)
    values = value if isinstance(value, MultiValue) else [value]
    return [str(one).strip().upper() for one in values if one]
