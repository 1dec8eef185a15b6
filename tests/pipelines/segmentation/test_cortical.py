"""The cortical index of a simulated tube is the tube's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from pipelines.segmentation.cortical import cortical_index


def tube(radius: float, index: float, blur: float = 1.0, length: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Attenuation of a tube along the ray (cortex 1.9, marrow .35, flesh .35 around) and its mask."""
    fine = 8
    x = (np.arange(100 * fine) + 0.5) / fine - 50
    outer = np.sqrt(np.clip(radius**2 - x**2, 0, None))
    inner = np.sqrt(np.clip((radius * (1 - index)) ** 2 - x**2, 0, None))
    line = (1.9 * (outer - inner) + 0.35 * (inner + 50 - outer)).reshape(100, fine).mean(1)
    film, mask = np.tile(line, (160, 1)), np.zeros((160, 100), bool)
    film[:20] = film[140:] = 0.35 * 50
    start = 80 - length // 2
    mask[start : start + length] = np.abs(np.arange(100) - 49.5) < radius
    noise = np.random.default_rng(0).normal(0, 0.15, film.shape)
    return gaussian_filter(film, blur) + noise, mask


@pytest.mark.parametrize("index", [0.3, 0.45, 0.6])
@pytest.mark.parametrize(
    ("radius", "blur", "bias"), [(40.0, 2.0, 0.03), (20.0, 1.0, 0.04), (10.0, 0.8, 0.08)]
)
def test_the_index_of_a_tube(index: float, radius: float, blur: float, bias: float) -> None:
    film, mask = tube(radius, index, blur)
    assert cortical_index(film, mask) == pytest.approx(index, abs=bias)


def test_more_cortex_is_a_larger_index_whatever_the_pose_and_gray_scale() -> None:
    values = []
    for index in (0.3, 0.4, 0.5, 0.6):
        film, mask = tube(14.0, index)
        film = rotate(film, 23, mode="nearest", order=1)
        mask = rotate(mask.astype(np.uint8), 23, order=0) > 0
        values.append(cortical_index(film, mask))
        dark = np.round(film * 30 + 7).astype(np.uint16)
        assert cortical_index(dark, mask) == pytest.approx(values[-1], abs=0.02)
    assert np.all(np.diff(values) > 0.05)


def test_no_value_for_a_thin_solid_or_absent_bone() -> None:
    film, mask = tube(3.5, 0.4)
    assert np.isnan(cortical_index(film, mask))
    assert np.isnan(cortical_index(film, np.zeros_like(mask)))
    _, mask = tube(15.0, 0.4)
    assert np.isnan(cortical_index(mask.astype(np.uint8) * 0, mask))
