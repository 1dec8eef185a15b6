"""What lies on a film beside the hand: side markers, burnt-in text, rings."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.phantoms.arrays import Floats

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)
LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
SIGNS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-=/"))


def stencil(
    shape: tuple[int, int], text: str, origin_xy: tuple[int, int], font: int, size: float, stroke: int
) -> Floats:
    """Return text as coverage in 0..1, HxW float32."""
    mask = np.zeros(shape, np.uint8)
    cv2.putText(mask, text, origin_xy, font, size, 255, stroke, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def blend(image: Floats, cover: Floats, value: float) -> Floats:
    """Paint `value` over the image where `cover` is 1."""
    return image * (1 - cover) + cover * value


def draw_text(rng: np.random.Generator, image: Floats, text: str, value: float) -> Floats:
    """Burn text in somewhere; sizes follow the film's height."""
    height, width = image.shape
    unit = height / 320
    origin = int(rng.uniform(0, 0.7) * width), int(rng.uniform(0.03, 1) * height)
    font, size = FONTS[rng.integers(4)], float(rng.uniform(0.25, 0.5) * unit)
    return blend(image, stencil(image.shape, text, origin, font, size, max(1, round(unit * 0.7))), value)


def random_text(rng: np.random.Generator) -> str:
    """Return two to nine signs."""
    return "".join(rng.choice(SIGNS, int(rng.integers(2, 10))))


def draw_marker(
    rng: np.random.Generator,
    image: Floats,
    letter: str,
    centre_xy: tuple[float, float],
    value: float,
    ball: bool | None = None,
) -> Floats:
    """Lay a lead side marker on the film: a letter, initials, often on a faint plate; tilted a little.

    ball: whether a lead ball hangs below, as some markers have to tell that the patient stood; None leaves it to rng.
    """
    shape, unit = image.shape, image.shape[0] / 320
    width, height = rng.uniform(18, 42) * unit, rng.uniform(24, 70) * unit
    x, y = centre_xy[0] - width / 2, centre_xy[1] - height / 2
    font, stroke = FONTS[rng.integers(4)], max(1, round(rng.uniform(1, 3) * unit))
    at = int(x + 3 * unit), int(y + 0.5 * height)
    lead = stencil(shape, letter, at, font, float(rng.uniform(0.5, 1.3) * unit), stroke)
    initials = "".join(rng.choice(LETTERS, int(rng.integers(0, 6))))
    below = int(x + 2 * unit), int(y + height - 4 * unit)
    lead = np.maximum(
        lead, stencil(shape, initials, below, font, float(rng.uniform(0.25, 0.6) * unit), max(1, stroke - 1))
    )
    hangs = rng.random() < 0.15 if ball is None else ball
    if hangs:
        below = int(x + width / 2), int(y + height - 8 * unit)
        cv2.circle(lead, below, int(rng.uniform(4, 10) * unit), 1.0, -1)
    plate = np.zeros(shape, np.float32)
    if rng.random() < 0.6:
        cv2.rectangle(plate, (int(x), int(y)), (int(x + width), int(y + height)), 1.0, -1)
    turn = cv2.getRotationMatrix2D(centre_xy, rng.normal(0, 18), 1)
    lead, plate = (cv2.warpAffine(layer, turn, shape[::-1]) for layer in (lead, plate))
    image = blend(image, plate * np.float32(rng.uniform(0.3, 0.95)), value * float(rng.uniform(-0.1, 0.45)))
    return blend(image, lead, value)
