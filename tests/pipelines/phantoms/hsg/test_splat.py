"""A cloud's shadow: volumes are kept, slabs have their thickness, tilted ones more."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.phantoms.hsg.receptor import iodine
from pipelines.phantoms.hsg.splat import Cloud, View, path_mm, rotation


def slab(tilt: float) -> tuple[Cloud, View]:
    """20 x 20 mm, 3 mm thick, tilted about x."""
    x, y = np.meshgrid(np.linspace(-10, 10, 201)[:-1] + 0.05, np.linspace(-10, 10, 201)[:-1] + 0.05)
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1) @ rotation("x", tilt).T
    return Cloud(points, np.full(len(points), 3 * 0.1 * 0.1)), View(64, 1.0, np.zeros(3), np.eye(3))


def test_volume_is_kept() -> None:
    cloud, view = slab(30)
    assert path_mm(view, [cloud]).sum() * view.mm**2 == pytest.approx(3 * 20 * 20, rel=1e-5)


@pytest.mark.parametrize("tilt", [0, 40, 60])
def test_a_tilted_slab_is_thicker_to_the_beam(tilt: float) -> None:
    cloud, view = slab(tilt)
    assert path_mm(view, [cloud])[30:34, 30:34].mean() == pytest.approx(
        3 / np.cos(np.deg2rad(tilt)), rel=0.03
    )


def test_turning_the_beam_is_turning_the_body() -> None:
    cloud, view = slab(0)
    turned = Cloud(cloud.points_N3 @ rotation("y", 25).T, cloud.volume_N)
    other = View(64, 1.0, np.zeros(3), rotation("y", 25))
    np.testing.assert_allclose(path_mm(view, [turned]), path_mm(other, [cloud]), atol=1e-6)


def test_nothing_beside_the_image_comes_into_it() -> None:
    view = View(32, 1.0, np.zeros(3), np.eye(3))
    assert path_mm(view, [Cloud(np.array([[40.0, 0, 0]]), np.ones(1))]).sum() == 0
    assert path_mm(view, []).sum() == 0


@pytest.mark.parametrize(("mm", "contrast"), [(0.5, 0.16), (1, 0.31), (2, 0.60), (5, 1.4), (10, 2.5)])
def test_contrast_medium_attenuates_as_the_table_says(mm: float, contrast: float) -> None:
    """ln-contrast of 300 mg I/mL behind the pelvis at 75 kVp."""
    assert float(iodine(np.array([mm], np.float32), 75)[0]) == pytest.approx(contrast, abs=0.011)
