"""One film as the reader sees it: the radiograph, the bones' outlines, and where the model is unsure."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]

# Entropy of an even doubt between two classes; the heat is saturated there, on every film alike.
FULL_HEAT_NATS = float(np.log(2))

_ENLARGE = 3  # a mask is enlarged by this factor before its outline is taken, so that outlines are not stairs
_BORDER = 3


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How a film lies on the grid of the label maps: grid = film * scale + offset, both in pixels."""

    scale: float
    offset_y: float
    offset_x: float


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A film drawn small.

    film, heat: data URIs of width x height pixels, heat empty unless asked for.
    outlines: SVG path data per class index (1 ...); reference: one path for all outlines of the reference
    mask, empty where there is none.
    """

    width: int
    height: int
    film: str
    heat: str
    outlines: dict[int, str]
    reference: str


def draw_overlay(
    pixels_HW: npt.NDArray[np.unsignedinteger],
    label_map_GW: Gray,
    entropy_GW: npt.NDArray[np.floating],
    placement: Placement,
    height: int,
    reference_HW: Gray | None = None,
    heat: bool = True,
) -> Overlay:
    """The film at `height` pixels with what the model found on the grid; entropy is in nats."""
    film_height, film_width = pixels_HW.shape
    width = max(1, round(film_width * height / film_height))
    film = stretch(cv2.resize(pixels_HW, (width, height), interpolation=cv2.INTER_AREA))
    to_film = _grid_to_small(placement, height / film_height)
    labels = cv2.warpAffine(label_map_GW, to_film, (width, height), flags=cv2.INTER_NEAREST)
    entropy = cv2.warpAffine(entropy_GW.astype(np.float32), to_film, (width, height), flags=cv2.INTER_LINEAR)
    present = [int(index) for index in np.unique(labels) if index]
    reference = ""
    if reference_HW is not None:
        small = cv2.resize(reference_HW, (width, height), interpolation=cv2.INTER_NEAREST)
        reference = "".join(outline(small == index) for index in np.unique(small) if index)
    return Overlay(
        width=width,
        height=height,
        film=data_uri(film),
        heat=data_uri(_heat(film, entropy)) if heat else "",
        outlines={index: outline(labels == index) for index in present},
        reference=reference,
    )


def stretch(gray: npt.NDArray[np.unsignedinteger]) -> Gray:
    """8 bits between the 0.5th and 99.5th percentile; a blank film stays black."""
    low, high = np.percentile(gray, (0.5, 99.5))
    span = max(float(high - low), 1.0)
    return np.asarray(np.clip((gray.astype(np.float32) - low) * (255.0 / span), 0, 255), np.uint8)


def outline(mask: npt.NDArray[np.bool_]) -> str:
    """SVG path data of a mask's outer edges, in pixels of the mask; islands under 4 pixels are left out."""
    gray = mask.astype(np.uint8)
    x0, y0, width, height = cv2.boundingRect(gray)
    # The border lets the blur fade out, so that an outline at the film's edge closes there.
    window = cv2.copyMakeBorder(gray[y0 : y0 + height, x0 : x0 + width], *(_BORDER,) * 4, cv2.BORDER_CONSTANT)
    large = cv2.resize(window * 255, None, fx=_ENLARGE, fy=_ENLARGE, interpolation=cv2.INTER_LINEAR)
    smooth = (cv2.GaussianBlur(large, (0, 0), 0.8 * _ENLARGE) > 127).astype(np.uint8)
    contours, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    parts = []
    for contour in contours:
        if cv2.contourArea(contour) < 4 * _ENLARGE**2:
            continue
        points = cv2.approxPolyDP(contour, 0.25 * _ENLARGE, closed=True).reshape(-1, 2)
        points = (points + 0.5) / _ENLARGE + (x0 - _BORDER, y0 - _BORDER)
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
    return "".join(parts)


def _grid_to_small(placement: Placement, small_scale: float) -> npt.NDArray[np.float64]:
    factor = small_scale / placement.scale
    return np.array(
        [[factor, 0, -placement.offset_x * factor], [0, factor, -placement.offset_y * factor]], np.float64
    )


def _heat(film: Gray, entropy: npt.NDArray[np.float32]) -> Gray:
    """The film dimmed to half, with doubt painted over it."""
    return tinted(film, entropy / FULL_HEAT_NATS)


def tinted(film: Gray, heat: npt.NDArray[np.float32]) -> Gray:
    """The film (HW) dimmed to half, with heat (HW, 0 to 1) painted over it, HW3."""
    share = np.clip(heat, 0, 1)
    colour = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO).astype(np.float32)
    alpha = np.sqrt(share)[..., None]
    dim = (film.astype(np.float32) * 0.45)[..., None]
    return np.asarray(np.clip(colour * alpha + dim * (1 - alpha), 0, 255), np.uint8)


def data_uri(image: Gray) -> str:
    """The image as WebP in a data URI."""
    encoded, data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 80])
    assert encoded
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode("ascii")
