"""Laws of the overlays: outlines enclose their masks, and the grid falls on the film where it came from."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest

from pipelines.reporting.overlays import Overlay, Placement, draw_overlay, outline, stretch


def polygons(path: str) -> list[np.ndarray]:
    """Points (x, y) of every closed part of SVG path data."""
    parts = [part for part in path.split("Z") if part]
    return [np.array([[float(v) for v in point.split()] for point in part[1:].split("L")]) for part in parts]


def area(polygon: np.ndarray) -> float:
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def pixels_of(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_an_outline_encloses_its_mask() -> None:
    y, x = np.mgrid[:100, :80]
    mask = (y - 50) ** 2 + (x - 40) ** 2 < 30**2
    (polygon,) = polygons(outline(mask))
    assert area(polygon) == pytest.approx(mask.sum(), rel=0.04)
    assert polygon.mean(axis=0) == pytest.approx([40.5, 50.5], abs=0.7)


def test_every_island_has_its_outline_and_specks_have_none() -> None:
    mask = np.zeros((60, 60), bool)
    mask[5:20, 5:20] = mask[30:50, 30:50] = True
    mask[55, 2] = True
    assert len(polygons(outline(mask))) == 2
    assert outline(np.zeros((9, 9), bool)) == ""


def test_a_mask_at_the_edge_is_closed_there() -> None:
    mask = np.zeros((50, 40), bool)
    mask[30:, 10:30] = True
    (polygon,) = polygons(outline(mask))
    assert polygon[:, 1].max() == pytest.approx(50, abs=1)


def overlay(reference: np.ndarray | None = None, heat: bool = True) -> Overlay:
    """A film 400 x 200 with a bone in rows 100 to 300, columns 50 to 150, on the grid at 1/4 + (5, 20)."""
    film = np.full((400, 200), 1000, np.uint16)
    film[100:300, 50:150] = 3000
    grid = np.zeros((110, 90), np.uint8)
    grid[5 + 25 : 5 + 75, 20 + 12 : 20 + 38] = 2
    entropy = np.zeros(grid.shape, np.float16)
    entropy[5 + 23 : 5 + 27, 20 + 12 : 20 + 38] = 0.5
    placement = Placement(scale=0.25, offset_y=5.0, offset_x=20.0)
    return draw_overlay(film, grid, entropy, placement, 200, reference, heat)


def test_the_grid_falls_on_the_film() -> None:
    drawn = overlay()
    assert (drawn.height, drawn.width) == (200, 100)
    assert list(drawn.outlines) == [2] and drawn.reference == ""
    (polygon,) = polygons(drawn.outlines[2])
    assert polygon.min(axis=0) == pytest.approx([25, 50], abs=2.5)
    assert polygon.max(axis=0) == pytest.approx([75, 150], abs=2.5)


def test_doubt_is_painted_where_it_is() -> None:
    heat = pixels_of(overlay().heat).astype(int)
    coloured = (heat.max(axis=2) - heat.min(axis=2)) > 60
    assert coloured[48:54, 30:70].mean() > 0.5
    assert not coloured[100:].any()
    assert overlay(heat=False).heat == ""


def test_the_reference_is_outlined() -> None:
    reference = np.zeros((400, 200), np.uint8)
    reference[100:300, 50:150] = 2
    (polygon,) = polygons(overlay(reference).reference)
    assert area(polygon) == pytest.approx(50 * 100, rel=0.04)


def test_a_blank_film_is_drawn_black() -> None:
    assert not stretch(np.full((4, 4), 777, np.uint16)).any()


def test_equal_films_give_equal_bytes() -> None:
    assert overlay() == overlay()
    assert re.fullmatch(r"data:image/webp;base64,[A-Za-z0-9+/=]+", overlay().film)
