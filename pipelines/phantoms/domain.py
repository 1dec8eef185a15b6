"""Random looks: contrast, curves, haze, frames, noise, gray ranges, so that a real film is one more draw."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats
from pipelines.phantoms.filters import blurred, clouds
from pipelines.phantoms.framing import Framing
from pipelines.phantoms.overlays import blend, draw_marker, draw_text, random_text
from pipelines.phantoms.physics import Paths

SHARE_INVERTED = 0.15
LEVELS = 255.0


def randomise(rng: np.random.Generator, paths: Paths, framing: Framing, unit_mm: float, side: str) -> Floats:
    """Return gray levels 0..1, HxW float32; `unit_mm` is the length of metacarpal 3."""
    image = _attenuation(rng, paths, unit_mm)
    if rng.random() < 0.5:
        image = _haze(rng, image)
    image = _curve(rng, image / (np.percentile(image[::3, ::3], 99.5) + 1e-3))
    image = _background(rng, image)
    image = _sharpness(rng, image)
    image = _framed(rng, image, framing, side)
    return _digitised(rng, image)


def _attenuation(rng: np.random.Generator, paths: Paths, unit_mm: float) -> Floats:
    """Weight the materials at random around their values at 50 to 60 kVp, independent of the hand's size."""
    cortical, spongy, marrow = rng.uniform(1.0, 2.6), rng.uniform(0.15, 0.6), rng.uniform(-0.05, 0.15)
    soft = rng.uniform(0.08, 0.45) if rng.random() < 0.5 else rng.uniform(0.3, 0.9)
    shape = paths.cortex.shape
    coarse = rng.uniform(0, 0.35) * clouds(rng, shape, int(rng.integers(12, 40)))
    texture = 1 + coarse + rng.uniform(0, 0.35) * clouds(rng, shape, int(rng.integers(30, 110)))
    bone = (
        cortical * paths.cortex * (0.7 + 0.3 * texture) + spongy * np.maximum(texture, 0.2) * paths.spongiosa
    )
    # soft tissue fills the marrow's and the bone's place too: contrast is then independent of its weight
    body = paths.tissue + paths.cortex + paths.spongiosa + paths.marrow
    return ((bone + marrow * paths.marrow + soft * body) / (0.15 * unit_mm)).astype(np.float32)


def _haze(rng: np.random.Generator, image: Floats) -> Floats:
    """Scatter and veiling glare."""
    share, reach = rng.uniform(0.05, 0.25), rng.uniform(8, 30) * image.shape[0] / 320
    light = np.exp(-image)
    hazy: Floats = (light + share * blurred(light, reach)) / (1 + share)
    return -np.log(hazy)


def _curve(rng: np.random.Generator, image: Floats) -> Floats:
    """Gamma, sigmoid and an arbitrary monotone curve, each in some films."""
    if rng.random() < 0.7:
        image = np.sign(image) * np.abs(image) ** np.exp(rng.normal(0, 0.35))
    if rng.random() < 0.5:
        centre, steepness = rng.uniform(0.3, 0.75), rng.uniform(2, 7)
        low, high = 1 / (1 + np.exp(steepness * centre)), 1 / (1 + np.exp(steepness * (centre - 1)))
        image = (1 / (1 + np.exp(-steepness * (image - centre))) - low) / (high - low)
    if rng.random() < 0.15:
        rising = np.cumsum(rng.uniform(0, 1, 7))
        image = np.interp(image, np.linspace(0, 1.2, 7), (rising - rising[0]) / (rising[-1] - rising[0]))
    return image.astype(np.float32)


def _background(rng: np.random.Generator, image: Floats) -> Floats:
    """Uneven exposure and a veil over everything."""
    height, width = image.shape
    if rng.random() < 0.6:
        slope_x, slope_y = rng.normal(0, 0.18, 2)
        image = image + slope_x * (np.arange(width, dtype=np.float32) / width - 0.5)
        image += slope_y * (np.arange(height, dtype=np.float32)[:, None] / height - 0.5)
        image += rng.uniform(0, 0.1) * clouds(rng, image.shape, 3)
    veil = rng.uniform(-0.02, 0.5) if rng.random() < 0.3 else rng.uniform(0, 0.06)
    return (veil + (1 - veil) * image).astype(np.float32)


def _sharpness(rng: np.random.Generator, image: Floats) -> Floats:
    """Blur, then unsharp masking."""
    unit = image.shape[0] / 320
    if rng.random() < 0.7:
        image = blurred(image, rng.uniform(0.3, 1.3) * unit)
    if rng.random() < 0.4:
        reach, strength = rng.uniform(1, 6) * unit, rng.uniform(0.2, 1.2)
        image = image + strength * (image - blurred(image, reach))
    return image.astype(np.float32)


def _framed(rng: np.random.Generator, image: Floats, framing: Framing, side: str) -> Floats:
    """Markers, the collimated field with its rim, the frame around a digitised film, burnt-in text."""
    height, width = image.shape
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        letter = side if rng.random() < 0.8 else ""
        place = rng.uniform(0.08, 0.92) * width, rng.uniform(0.08, 0.92) * height
        image = draw_marker(rng, image, letter, place, float(rng.uniform(0.8, 1.15)))
    if framing.field_42 is not None:
        image = _collimated(rng, image, framing.field_mask(image.shape))
    image = _surrounded(rng, image, framing.viewport)
    for _ in range(rng.integers(1, 3) if rng.random() < 0.3 else 0):
        image = draw_text(rng, image, random_text(rng), float(rng.choice([0.0, 1.0, 1.1])))
    return image


def _collimated(rng: np.random.Generator, image: Floats, mask: Floats) -> Floats:
    outside = rng.choice([0.0, 0.0, rng.uniform(0, 0.5), rng.uniform(0.7, 1.2)])
    if rng.random() < 0.5:  # a bright or dark rim along the border
        rim = blurred(mask, rng.uniform(0.7, 4) * image.shape[0] / 320)
        image = image + rng.normal(0, 0.6) * 4 * rim * (1 - rim)
    return blend(image, 1 - mask, float(outside))


def _surrounded(rng: np.random.Generator, image: Floats, viewport: tuple[int, int, int, int]) -> Floats:
    x0, y0, x1, y1 = viewport
    height, width = image.shape
    if (x1 - x0, y1 - y0) == (width, height):
        return image
    picture = np.full_like(image, rng.choice([0.0, rng.uniform(0, 0.6), 1.0]))
    picture[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    if rng.random() < 0.6:
        stroke = max(1, round(rng.uniform(0.6, 3) * height / 320))
        cv2.rectangle(picture, (x0, y0), (x1, y1), float(rng.uniform(0, 1.2)), stroke)
    return picture


def _digitised(rng: np.random.Generator, image: Floats) -> Floats:
    """Noise, a gray range that may be narrow, polarity now and then the wrong way round."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (0, 0), 0.6) * 1.6
    sigma = np.exp(rng.uniform(np.log(0.002), np.log(0.035)))
    image = np.clip(image + sigma * noise * (1 + rng.uniform(-0.5, 0.5) * image), 0, 1.25)
    low = rng.uniform(0, 40)
    high = low + np.exp(rng.uniform(np.log(25), np.log(240)))
    levels = low + (high - low) * image
    if rng.random() < SHARE_INVERTED:
        levels = high - (levels - low)
    # whole levels of an 8-bit scan, whatever the file's bits
    whole: Floats = np.round(np.clip(levels, 0, LEVELS)) / LEVELS
    return whole.astype(np.float32)
