"""The beam against the textbook: Beer-Lambert, effective attenuation, logarithm."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.phantoms.physics import Beam, Paths, expose, transmission

CALM = Beam(kvp=55.0, quanta_per_mm2=1e9, scatter=0.0, heel_2=(0.0, 0.0), blur_mm=0.0, fat=0.0, readout=0.0)


def _paths(cortex_mm: float, tissue_mm: float) -> Paths:
    zero = np.zeros((32, 32), np.float32)
    return Paths(cortex=zero + cortex_mm, spongiosa=zero, marrow=zero, tissue=zero + tissue_mm)


@pytest.mark.parametrize(("kvp", "per_cm"), [(50, 1.93), (55, 1.71), (60, 1.54)])
def test_thin_cortex_has_the_effective_attenuation(kvp: float, per_cm: float) -> None:
    beam = Beam(kvp=kvp, quanta_per_mm2=1e9, scatter=0, heel_2=(0, 0), blur_mm=0, fat=0, readout=0)
    passed = transmission(_paths(1.0, 0.0), beam)
    assert -10 * np.log(passed[0, 0]) == pytest.approx(per_cm, rel=0.05)


def test_the_beam_hardens() -> None:
    thin, thick = (-np.log(transmission(_paths(mm, 0.0), CALM)[0, 0]) / mm for mm in (1.0, 6.0))
    assert thick < thin


def test_open_field_reads_zero_and_tissue_its_attenuation() -> None:
    rng = np.random.default_rng(0)
    assert expose(rng, _paths(0, 0), CALM, 4.0) == pytest.approx(0, abs=1e-3)
    assert expose(rng, _paths(0, 10), CALM, 4.0) == pytest.approx(0.33, abs=0.03)


def test_noise_follows_the_dose() -> None:
    spreads = []
    for quanta in (1e3, 1e5):
        beam = Beam(kvp=55, quanta_per_mm2=quanta, scatter=0, heel_2=(0, 0), blur_mm=0, fat=0, readout=0)
        spreads.append(expose(np.random.default_rng(0), _paths(0, 0), beam, 1.0).std())
    assert spreads[0] / spreads[1] == pytest.approx(10, rel=0.1)
