"""Random views of a prepared film and its masks: one resampling for pose, then tone, noise, frame and boxes.

Radiographs vary in what the vendor does to gray values more than in anything else, so tone curves are wild;
quarter turns and sides are settled before a film is read (pose.py). Every draw comes from the generator given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

MIRROR_SHARE = 0.5
STEEP_DEG = 50.0  # a film further from upright is turned by a quarter before it is read
STRETCH = 0.08  # deviation of log height over width
SHIFT = 0.12  # largest shift as a share of the grid
NEGATIVE_SHARE = 0.15
FRAME_SHARE = 0.3
BOX_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class PoseRange:
    """How far a view's pose strays from its film's: usual tilt, share of steep tilts, scale."""

    tilt_deg: float  # standard deviation
    steep_share: float
    scale: tuple[float, float]


WIDE = PoseRange(tilt_deg=12.0, steep_share=0.15, scale=(0.65, 1.4))
NARROW = PoseRange(tilt_deg=7.0, steep_share=0.0, scale=(0.85, 1.5))  # up to the scale of the second reading


def augment(
    channels_HWC: np.ndarray,
    masks_MHW: np.ndarray,
    height: int,
    width: int,
    rng: np.random.Generator,
    foreign: float,
    wide: float,
    mirror: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """A random view (height, width, C) uint8 of a film prepared at any size, and its masks.

    Every view is posed anew, the share `wide` of them as far off as films of unknown origin lie; the share
    `foreign` also looks as if another machine had made it.
    """
    poses = WIDE if rng.random() < wide else NARROW
    matrix = random_pose(channels_HWC.shape[:2], height, width, rng, poses, mirror)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT
    value = (int(rng.integers(256)),) * 4
    view = cv2.warpAffine(
        channels_HWC, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=value
    )
    masks = [cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST) for mask in masks_MHW]
    masks_MHW = np.stack(masks)
    if rng.random() >= foreign:
        return view, masks_MHW
    view = random_tone(view, rng)
    if rng.random() < BOX_SHARE:
        cover_boxes(view, rng)
    if rng.random() < FRAME_SHARE:
        outside = cut_frame(view, rng)
        masks_MHW[:, outside] = 0
    return random_texture(view, rng), masks_MHW


def random_pose(
    film_size: tuple[int, ...],
    height: int,
    width: int,
    rng: np.random.Generator,
    poses: PoseRange,
    mirror: bool,
) -> np.ndarray:
    """A 2x3 matrix from the film to the view: mirror, tilt, scale and shift about the centres."""
    angle = math.radians(rng.normal(0, poses.tilt_deg))
    if rng.random() < poses.steep_share:
        angle = math.radians(rng.uniform(-STEEP_DEG, STEEP_DEG))
    scale = height / film_size[0] * math.exp(rng.uniform(*np.log(poses.scale)))
    stretch = math.exp(rng.normal(0, STRETCH))
    side = -1.0 if mirror and rng.random() < MIRROR_SHARE else 1.0
    rotate = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = scale * rotate @ np.diag([side / stretch, stretch])
    to_centre = np.array([width, height]) * (0.5 + rng.uniform(-SHIFT, SHIFT, 2))
    offset = to_centre - linear @ (np.array([film_size[1], film_size[0]]) / 2)
    return np.hstack([linear, offset[:, None]])


def random_tone(view_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another tone curve per channel, and now and then the negative of both."""
    negative = rng.random() < NEGATIVE_SHARE
    channels: list[np.ndarray] = []
    for channel in range(view_HWC.shape[2]):
        curve = tone_curve(rng)
        table: np.ndarray = np.round(255 * (1 - curve if negative else curve))
        channels.append(cv2.LUT(np.ascontiguousarray(view_HWC[..., channel]), table.astype(np.uint8)))
    return np.dstack(channels)


def tone_curve(rng: np.random.Generator) -> np.ndarray:
    """A rising curve of 256 values in 0 .. 1: gamma, sigmoid contrast, clipped ends."""
    gray = np.linspace(0, 1, 256)
    curve: np.ndarray = gray ** math.exp(rng.normal(0, 0.35))
    if rng.random() < 0.5:
        steepness, middle = rng.uniform(1, 7), rng.uniform(0.3, 0.7)
        sigmoid = 1 / (1 + np.exp(-steepness * (curve - middle)))
        curve = (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])
    low, high = rng.uniform(-0.1, 0.15), rng.uniform(0.8, 1.1)
    return np.clip((curve - low) / (high - low), 0, 1)


def random_texture(view_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur or edge enhancement, a brightness ramp over the film, and noise."""
    kind = rng.random()
    view = view_HWC.astype(np.float32)
    if kind < 0.5:
        blurred = cv2.GaussianBlur(view, (0, 0), rng.uniform(0.4, 1.4))
        view = blurred if kind < 0.35 else view + rng.uniform(0.3, 1.2) * (view - blurred)
    height, width, num_channels = view.shape
    slope_y, slope_x = rng.normal(0, 20, 2)
    view += np.add.outer(
        np.linspace(-slope_y, slope_y, height, dtype=np.float32),
        np.linspace(-slope_x, slope_x, width, dtype=np.float32),
    )[..., None]
    if rng.random() < 0.6:
        grain = rng.standard_normal((height, width, 1), dtype=np.float32)
        view += grain * rng.uniform(2, 18, (num_channels,)).astype(np.float32)
    textured: np.ndarray = np.clip(view, 0, 255)
    return textured.astype(np.uint8)


def cover_boxes(view_HWC: np.ndarray, rng: np.random.Generator) -> None:
    """Paint up to three small boxes, as markers and labels are; the bones below stay in the masks."""
    height, width, num_channels = view_HWC.shape
    for _ in range(rng.integers(1, 4)):
        size_y, size_x = rng.integers(4, height // 8), rng.integers(4, width // 5)
        y, x = rng.integers(0, height - size_y), rng.integers(0, width - size_x)
        view_HWC[y : y + size_y, x : x + size_x] = rng.integers(0, 256, num_channels, dtype=np.uint8)


def cut_frame(view_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paint everything outside a random quadrangle in one gray value, as collimation does; returns where."""
    height, width, _ = view_HWC.shape
    margin = rng.uniform(0, 0.14, (4, 2)) * (width, height)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    inward = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    inside = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(inside, np.round(corners + inward * margin).astype(np.int32), 1)
    outside: np.ndarray = inside == 0
    view_HWC[outside] = rng.choice([0, 0, 255, int(rng.integers(256))])
    return outside
