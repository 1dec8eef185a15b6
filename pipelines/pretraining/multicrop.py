"""Multi-crop views of bones, conventional and content-aware (https://arxiv.org/abs/2006.09882, section 3.2).

`draw_views` draws rotation, shift, flips, brightness, contrast and a square box for each view, as numbers, which
`render.render` makes into pictures. Content-aware, it takes the first of 64 boxes with enough of the mask, counted
in a summed-area table of the rotated and shifted mask on a coarse grid; where none has enough, the one with most,
and says so. It is pure: a view's numbers depend on (seed, epoch, sample, view) and its crop's mask alone.
Names: N crops of side S, V views of side T. Places on a crop or a view run from -1 to 1 in each of x, y.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.pretraining.philox import uniforms

ROTATION = np.pi / 6  # radians to either side
SHIFT = 0.1  # share of the side
LIGHT = 0.5  # brightness and contrast vary by this share
CANDIDATES = 64
GRID = 64  # cells along a side, on which the content of boxes is counted

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ViewDraws:
    """Views as numbers; each array starts with the axes N, V."""

    affine_NV23: Floats
    """A place on the view -> a place on the crop."""
    light_NV2: Floats
    """Factors of brightness and contrast."""
    content_NV: Floats
    """Share of the view inside the mask, to the grid's precision."""
    fell_back_NV: NDArray[np.bool_]
    """True where no candidate had enough content."""


def draw_views(
    masks_NSS: NDArray[np.uint8],
    samples_N: NDArray[np.int64],
    seed: int,
    epoch: int,
    scales_V2: Floats,
    min_content: float,
) -> ViewDraws:
    """Draw views for crops with these masks (nonzero is bone).

    samples: the identity of each crop, from which its numbers follow; scales: least and largest share of the
    crop's area for each view; min_content: least share of a view inside the mask, 0 for any view.
    """
    num_views = len(scales_V2)
    own_NV8 = uniforms(seed, epoch, samples_N, num_views, range(2)).reshape(len(samples_N), num_views, 8)
    angle_NV = (2 * own_NV8[..., 0] - 1) * np.float32(ROTATION)
    shift_NV2 = (2 * own_NV8[..., 1:3] - 1) * np.float32(2 * SHIFT)
    flip_NV2 = np.where(own_NV8[..., 3:5] < 0.5, np.float32(-1), np.float32(1))
    light_NV2 = 1 + (2 * own_NV8[..., 5:7] - 1) * np.float32(LIGHT)
    rotation_NV22 = _rotation(angle_NV)

    num_candidates = CANDIDATES if min_content > 0 else 1
    box_NVC4 = uniforms(seed, epoch, samples_N, num_views, range(2, 2 + num_candidates))
    size_NVC, corner_NVC2 = _boxes(box_NVC4, scales_V2)
    table_NVGG = _summed_area(masks_NSS, rotation_NV22, shift_NV2)
    content_NVC = _content(table_NVGG, size_NVC, corner_NVC2)
    enough_NVC = content_NVC >= min_content
    found_NV: NDArray[np.bool_] = np.any(enough_NVC, axis=-1)
    chosen_NV1 = np.where(found_NV, enough_NVC.argmax(-1), content_NVC.argmax(-1))[..., None]

    size_NV = np.take_along_axis(size_NVC, chosen_NV1, -1)[..., 0].astype(np.float32) / GRID
    corner_NV2 = np.take_along_axis(corner_NVC2, chosen_NV1[..., None], 2)[:, :, 0].astype(np.float32) / GRID
    centre_NV2 = 2 * corner_NV2 + size_NV[..., None] - 1
    linear_NV22 = rotation_NV22 * (size_NV[..., None] * flip_NV2)[..., None, :]
    offset_NV2 = rotation_NV22 @ (centre_NV2 - shift_NV2)[..., None]
    return ViewDraws(
        affine_NV23=np.concatenate((linear_NV22, offset_NV2), axis=-1),
        light_NV2=light_NV2,
        content_NV=np.take_along_axis(content_NVC, chosen_NV1, -1)[..., 0],
        fell_back_NV=~found_NV,
    )


def _rotation(angle_NV: Floats) -> Floats:
    cos, sin = np.cos(angle_NV), np.sin(angle_NV)
    return np.stack((cos, -sin, sin, cos), axis=-1).reshape(*angle_NV.shape, 2, 2)


def _boxes(uniform_NVC4: Floats, scales_V2: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sides and upper left corners (x, y) of square boxes, in cells; all of a box lies on the grid."""
    low_V11, high_V11 = scales_V2[:, :1], scales_V2[:, 1:]
    side = np.sqrt(low_V11 + (high_V11 - low_V11) * uniform_NVC4[..., 0])
    size_NVC = np.clip(np.rint(side * GRID), 1, GRID).astype(np.int64)
    corner_NVC2 = (uniform_NVC4[..., 1:3] * (GRID + 1 - size_NVC[..., None])).astype(np.int64)
    return size_NVC, corner_NVC2


def _summed_area(masks_NSS: NDArray[np.uint8], rotation_NV22: Floats, shift_NV2: Floats) -> NDArray[np.int32]:
    """Tables of each view's mask after rotation and shift, sampled at the centres of the grid's cells.

    Entry (y, x) counts the cells above and left of that corner, so a table's side is GRID + 1.
    """
    bone_NSS = (masks_NSS > 0).view(np.uint8)
    affine_NV23 = np.concatenate((rotation_NV22, -rotation_NV22 @ shift_NV2[..., None]), axis=-1)
    pixel_NV23 = in_pixels(affine_NV23, GRID, masks_NSS.shape[1])
    table_NVGG = np.empty((*shift_NV2.shape[:2], GRID + 1, GRID + 1), np.int32)
    for n, v in np.ndindex(shift_NV2.shape[:2]):
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        seen_GG = cv2.warpAffine(bone_NSS[n], pixel_NV23[n, v], (GRID, GRID), flags=flags)
        cv2.integral(seen_GG, table_NVGG[n, v])
    return table_NVGG


def in_pixels(affine_NV23: Floats, target: int, side: int) -> Floats:
    """From pixels of a square of side `target` to those of one of side `side`: pixel p lies at (2 p + 1) / side - 1."""
    linear_NV22, offset_NV2 = affine_NV23[..., :2], affine_NV23[..., 2]
    first_NV2 = linear_NV22.sum(-1) * np.float32(1 / target - 1) + offset_NV2
    offset_NV21 = ((first_NV2 + 1) * np.float32(side / 2) - np.float32(0.5))[..., None]
    return np.concatenate((linear_NV22 * np.float32(side / target), offset_NV21), axis=-1)


def _content(
    table_NVGG: NDArray[np.int32], size_NVC: NDArray[np.int64], corner_NVC2: NDArray[np.int64]
) -> Floats:
    """Share of each box inside the mask."""
    n, v = np.ogrid[: size_NVC.shape[0], : size_NVC.shape[1]]
    n, v = n[..., None], v[..., None]
    x0, y0 = corner_NVC2[..., 0], corner_NVC2[..., 1]
    x1, y1 = x0 + size_NVC, y0 + size_NVC
    below, above = (table_NVGG[n, v, y, x1] - table_NVGG[n, v, y, x0] for y in (y1, y0))
    share: Floats = ((below - above) / size_NVC**2).astype(np.float32)
    return share
