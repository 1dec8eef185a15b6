"""The beam: path lengths to the logarithm of what the detector saw.

Three energy bins stand for a hand beam behind 2.7 mm Al on CsI: linear attenuation per cm at 30, 40 and 50
keV for cortical bone (1.92 g/cm3), spongiosa (1.18), soft tissue (1.06) and fat (.95), after the NIST
tables; the weights reproduce the effective values at 50, 55 and 60 kVp (cortical 1.93, 1.71, 1.54 per cm for
thin paths).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.filters import blurred

# per cm; rows 30, 40, 50 keV; columns cortical bone, spongiosa, soft tissue, fat
ATTENUATION_34 = np.array([[2.56, 0.78, 0.40, 0.29], [1.28, 0.46, 0.29, 0.23], [0.82, 0.34, 0.24, 0.20]])
WEIGHT_KVP = (50.0, 55.0, 60.0)
WEIGHTS_33 = np.array([[0.53, 0.40, 0.07], [0.42, 0.43, 0.15], [0.30, 0.45, 0.25]])
SCATTER_RANGE_MM = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Path lengths per pixel in mm, HxW float32; tissue is what is neither bone nor marrow."""

    cortex: Floats
    spongiosa: Floats
    marrow: Floats
    tissue: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """One exposure.

    kvp; quanta_per_mm2 reaching the detector in the open field; scatter: share of the open field's signal;
    heel_2: relative change of the beam from edge to edge, x and y; blur_mm: standard deviation of focal spot
    and detector; fat: share of fat in the soft tissue; readout: electronic noise in quanta per pixel.
    """

    kvp: float
    quanta_per_mm2: float
    scatter: float
    heel_2: tuple[float, float]
    blur_mm: float
    fat: float
    readout: float


def draw_beam(rng: np.random.Generator) -> Beam:
    """Draw a hand exposure: 46 to 60 kVp, a detector dose of about two to seven microgray."""
    return Beam(
        kvp=round(float(rng.uniform(46, 60)), 1),
        quanta_per_mm2=float(np.exp(rng.uniform(np.log(3e4), np.log(1.5e5)))),
        scatter=float(rng.uniform(0.05, 0.20)),
        heel_2=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.08))),
        blur_mm=float(rng.uniform(0.08, 0.22)),
        fat=float(rng.uniform(0.05, 0.40)),
        readout=float(rng.uniform(2, 8)),
    )


def expose(rng: np.random.Generator, paths: Paths, beam: Beam, pixels_per_mm: float) -> Floats:
    """Return -ln(signal over the open field), HxW float32: primary, scatter, heel, blur and noise."""
    primary = transmission(paths, beam)
    signal = primary + np.float32(beam.scatter) * blurred(primary, SCATTER_RANGE_MM * pixels_per_mm)
    height, width = primary.shape
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    signal *= (1 + beam.heel_2[0] * x) * (1 + beam.heel_2[1] * y)
    if beam.blur_mm * pixels_per_mm > 0.25:
        signal = blurred(signal, beam.blur_mm * pixels_per_mm)
    # Poisson in its normal limit: hundreds of quanta per pixel and more
    quanta = np.float32(beam.quanta_per_mm2 / pixels_per_mm**2)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    signal += noise * np.sqrt(signal * quanta + np.float32(beam.readout**2)) / quanta
    return -np.log(np.maximum(signal, np.float32(0.5) / quanta))


def transmission(paths: Paths, beam: Beam) -> Floats:
    """Return the primary beam's share that passes, summed over the energy bins."""
    kvp = np.clip(beam.kvp, WEIGHT_KVP[0], WEIGHT_KVP[-1])
    total = np.zeros_like(paths.cortex)
    for energy in range(3):
        weight = np.interp(kvp, WEIGHT_KVP, WEIGHTS_33[:, energy])
        cortical, spongy, soft, fat = (ATTENUATION_34[energy] / 10).astype(np.float32)
        tissue = np.float32(soft + beam.fat * (fat - soft))
        depth = (
            cortical * paths.cortex + spongy * paths.spongiosa + fat * paths.marrow + tissue * paths.tissue
        )
        total += np.float32(weight) * np.exp(-depth)
    return total
