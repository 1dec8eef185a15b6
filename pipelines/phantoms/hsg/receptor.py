"""From -ln of the beam to a film: scatter, image intensifier or flat panel, noise, display, polarity, text.

ln-contrast of 300 mg I/mL behind the pelvis at 75 kVp: .16, .31, .60, 1.4, 2.5 for .5, 1, 2, 5, 10 mm (the
beam hardens in it); scatter about equal to the primary beam halves what is left of small contrasts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats, Labels, Pixels
from pipelines.phantoms.filters import blurred
from pipelines.phantoms.overlays import FONTS, blend, draw_marker, stencil

IODINE_PER_MM, HARDENING_PER_MM = 0.32, 0.028
SCATTER_MM = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Receptor:
    """One fluoroscopy room.

    intensifier: round, with pincushion distortion and glare; else a flat panel, enhanced and collimated.
    dark: contrast is stored dark and called MONOCHROME2, as fluoroscopy shows it; monochrome1: the stored
    values are inverted, and the header says so.
    """

    vendor: str
    intensifier: bool
    dark: bool
    monochrome1: bool
    bits: int
    kvp: float
    scatter: float
    pincushion: float
    steepness: float
    spot_quanta_per_mm2: float
    text: bool


VENDORS = ("Nordlicht Medical", "Aster Imaging", "Kestrel X-ray", "Maru Radiology")


def draw_receptor(rng: np.random.Generator) -> Receptor:
    """A room of 2003 to 2023: older ones have an image intensifier, 8 bits, burnt-in text."""
    old = bool(rng.random() < 0.5)
    polarity = rng.random()
    return Receptor(
        vendor=str(rng.choice(VENDORS)),
        intensifier=old,
        dark=bool(polarity < 0.2),
        monochrome1=bool(polarity > 0.75),
        bits=int(rng.choice([8, 8, 10] if old else [8, 10, 12])),
        kvp=round(float(rng.uniform(70, 80)), 1),
        scatter=float(rng.uniform(0.7, 1.2)),
        pincushion=float(rng.uniform(0.02, 0.07)) if old else 0.0,
        steepness=float(rng.uniform(2.8, 4.2)),
        spot_quanta_per_mm2=float(np.exp(rng.uniform(np.log(2e3), np.log(1e4)))),
        text=bool(rng.random() < (0.6 if old else 0.35)),
    )


def iodine(path_HW: Floats, kvp: float) -> Floats:
    """ln-contrast of a path in mm through contrast medium."""
    per_mm = np.float32(IODINE_PER_MM * (75 / kvp) ** 1.5)
    contrast_HW: Floats = per_mm * path_HW / (1 + np.float32(HARDENING_PER_MM) * path_HW)
    return contrast_HW


def expose(
    rng: np.random.Generator, depth_HW: Floats, room: Receptor, mm: float, quanta_per_mm2: float
) -> Floats:
    """Levels 0 to 1, more attenuation brighter, HW float32; depth_HW: -ln of the primary beam."""
    primary = np.exp(-depth_HW)
    signal = primary + np.float32(room.scatter) * blurred(primary, SCATTER_MM / mm)
    if room.intensifier:
        signal = 0.94 * signal + 0.06 * blurred(signal, 12 / mm)  # veiling glare
        side = len(signal)
        across = np.linspace(-1, 1, side, dtype=np.float32)
        signal *= 1 - np.float32(0.22) * (across[None] ** 2 + across[:, None] ** 2)
    signal = blurred(signal, max(0.3, 0.35 / mm))
    signal /= np.float32(np.median(signal))  # brightness control
    quanta = np.float32(quanta_per_mm2 * mm**2)
    signal += rng.standard_normal(signal.shape, dtype=np.float32) * np.sqrt(np.maximum(signal, 0) / quanta)
    logarithm = -np.log(np.maximum(signal, np.float32(0.02)))
    if not room.intensifier:
        logarithm += np.float32(0.5) * (logarithm - blurred(logarithm, 3 / mm))
    # ranging: the middle of the film to a dark gray, the densest contrast near white
    low, high = np.percentile(logarithm, [50, 99.7])
    logarithm = (logarithm - np.float32(low)) / np.float32(max(high - low, 0.6))
    centre, steep = rng.normal(0.2, 0.05), room.steepness * rng.uniform(0.85, 1.15)
    level: Floats = 1 / (1 + np.exp(-np.float32(steep) * (logarithm - np.float32(centre))))
    return level


def bent(image_HW: Floats | Labels, room: Receptor, exact: bool) -> Floats | Labels:
    """Pincushion distortion; exact: keep class indices."""
    if not room.pincushion:
        return image_HW
    side = len(image_HW)
    grid = np.linspace(-1, 1, side, dtype=np.float32)
    inward = 1 - np.float32(room.pincushion) * (grid[None] ** 2 + grid[:, None] ** 2 - 0.5)
    x_HW, y_HW = ((axis * inward + 1) * np.float32((side - 1) / 2) for axis in (grid[None], grid[:, None]))
    method = cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR
    moved: Floats | Labels = cv2.remap(image_HW, x_HW, y_HW, method, borderMode=cv2.BORDER_REPLICATE)
    return moved


def field(rng: np.random.Generator, room: Receptor, side: int) -> Floats:
    """What the beam reaches, 0 or 1 per pixel: a round of the intensifier, or a panel's collimated rectangle."""
    mask = np.zeros((side, side), np.uint8)
    if room.intensifier:
        middle = int((side - 1) * 8)
        cv2.circle(mask, (middle, middle), int(side * 16 * rng.uniform(0.485, 0.52)), 255, -1, cv2.LINE_AA, 4)
    else:
        left, top, right, bottom = np.clip(rng.normal(0, 0.05, 4), 0, 0.12) * side
        mask[int(top) : side - int(bottom), int(left) : side - int(right)] = 255
    return mask.astype(np.float32) / 255


def finished(
    rng: np.random.Generator, level_HW: Floats, field_HW: Floats, room: Receptor, words: str
) -> Pixels:
    """The stored values of a film: shutter, text and marker, polarity, bits; uint8 or uint16."""
    image = blend(level_HW, 1 - field_HW, 0.0)
    if rng.random() < 0.35:
        side = "R" if rng.random() < 0.5 else "L"
        x = (0.16 if side == "R" else 0.84) * len(image)
        image = draw_marker(rng, image, side, (x, rng.uniform(0.12, 0.3) * len(image)), 1.0)
    image = 1 - image if room.dark else image
    if room.text:
        unit = len(image) / 320
        for line, text in enumerate(words.split("\n")):
            at = int(6 * unit), int((14 + 13 * line) * unit)
            cover = stencil(image.shape, text, at, FONTS[0], 0.34 * unit, max(1, round(0.7 * unit)))
            image = blend(image, cover, 1.0 if image[:20, :20].mean() < 0.6 else 0.0)
    top = 2**room.bits - 1
    whole = np.round(np.clip(image, 0, 1) * np.float32(top))
    whole = top - whole if room.monochrome1 else whole
    return whole.astype(np.uint8) if room.bits == 8 else whole.astype(np.uint16)
