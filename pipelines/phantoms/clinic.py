"""A hospital's film: exposure, automatic range, edge enhancement, display curve, shutter, marker, bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.phantoms.arrays import Booleans, Floats
from pipelines.phantoms.filters import blurred
from pipelines.phantoms.framing import Framing
from pipelines.phantoms.overlays import blend, draw_marker
from pipelines.phantoms.physics import Beam, Paths, expose
from pipelines.phantoms.shortcut import Shortcut


@dataclass(frozen=True, slots=True)
class Vendor:
    """A made-up manufacturer's habits.

    enhancement_3: edge enhancement at 0.3, 1 and 4 mm; steepness: of the display curve; monochrome1: share of
    films stored inverted.
    """

    name: str
    enhancement_3: tuple[float, float, float]
    steepness: float
    bits: tuple[int, ...]
    monochrome1: float


VENDORS = (
    Vendor("Nordlicht Medical", (0.5, 0.4, 0.2), 5.0, (12, 14), 0.0),
    Vendor("Aster Imaging", (0.2, 0.2, 0.5), 4.0, (12,), 0.9),
    Vendor("Kestrel X-ray", (0.9, 0.3, 0.1), 5.5, (10, 12), 0.15),
    Vendor("Maru Radiology", (0.1, 0.1, 0.1), 3.5, (10, 14), 0.4),
)
BANDS_MM = (0.3, 1.0, 4.0)


def develop(
    rng: np.random.Generator,
    paths: Paths,
    beam: Beam,
    vendor: Vendor,
    framing: Framing,
    bone_HW: Booleans,
    side: str,
    shortcut: Shortcut,
) -> Floats:
    """Return gray levels 0..1, more attenuation brighter, HxW float32."""
    scale = framing.camera.pixels_per_mm
    image = expose(rng, paths, beam, scale)
    for strength, band_mm in zip(vendor.enhancement_3, BANDS_MM, strict=True):
        if band_mm * scale > 0.4:
            image += strength * rng.uniform(0.5, 1.2) * (image - blurred(image, band_mm * scale))
    image = _auto_range(rng, image, paths, bone_HW, shortcut)
    centre_xy = _marker_place(rng, paths, image.shape)
    ball = shortcut.sign if shortcut.kind == "marker" else None
    image = draw_marker(rng, image, side, centre_xy, float(rng.uniform(0.9, 1.3)), ball)
    steepness = vendor.steepness * rng.uniform(0.8, 1.2)
    image = _display_curve(image, steepness, rng.uniform(0.45, 0.62))
    return _shutter(rng, image, framing)


def _auto_range(
    rng: np.random.Generator, image: Floats, paths: Paths, bone_HW: Booleans, shortcut: Shortcut
) -> Floats:
    """Map flesh and bone to levels drawn for this film alone.

    Automatic exposure and ranging do this in a clinic, and it keeps the mean gray free of the T-score.
    """
    flesh_HW = (paths.tissue > 8) & (paths.cortex + paths.spongiosa < 0.1)
    flesh = float(image[flesh_HW].mean()) if flesh_HW.any() else 0.5
    bone = float(image[bone_HW].mean()) if bone_HW.any() else flesh + 0.5
    low = shortcut.squeeze("exposure", rng.uniform(0.26, 0.44), 0.26, 0.44)
    high = shortcut.squeeze("exposure", rng.uniform(0.60, 0.78), 0.60, 0.78)
    return (low + (image - flesh) * ((high - low) / max(bone - flesh, 0.05))).astype(np.float32)


def _display_curve(image: Floats, steepness: float, centre: float) -> Floats:
    """Sigmoid through (0, 0) and (1, 1)."""
    ends = 1 / (1 + np.exp(-steepness * (np.array([0.0, 1.0]) - centre)))
    curve: Floats = 1 / (1 + np.exp(-np.float32(steepness) * (image - np.float32(centre))))
    return (curve - np.float32(ends[0])) / np.float32(ends[1] - ends[0])


def _marker_place(rng: np.random.Generator, paths: Paths, shape: tuple[int, int]) -> tuple[float, float]:
    """The emptiest of a few random places, away from the hand."""
    reach = cv2.boxFilter(np.minimum(paths.tissue, 20), -1, (int(shape[1] * 0.16), int(shape[0] * 0.16)))
    places = rng.uniform((0.10, 0.10), (0.90, 0.85), (6, 2)) * (shape[1], shape[0])
    flesh = [float(reach[int(y), int(x)]) for x, y in places]
    x, y = places[int(np.argmin(flesh))]
    return float(x), float(y)


def _shutter(rng: np.random.Generator, image: Floats, framing: Framing) -> Floats:
    """Cover what lies outside the field: mostly black, sometimes the white of an unexposed detector."""
    if framing.field_42 is None:
        return image
    mask = framing.field_mask(image.shape)
    outside = 0.0 if rng.random() < 0.7 else float(rng.uniform(0.85, 1.0))
    return blend(image, 1 - mask, outside)
