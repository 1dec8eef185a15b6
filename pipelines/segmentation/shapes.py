"""Geometry around label maps: one clean piece per region, the upright frame, blending of readings."""

from __future__ import annotations

import math

import cv2
import numpy as np

SMALLEST_SHARE = 3e-4  # of the map's pixels; a smaller region counts as missing
FRAME_RADII = (
    8.5  # height of the second reading in root-mean-square radii of the frame regions, as films have it
)
UPRIGHT_DEG = 25.0  # a hand less tilted than this isn't turned: training has seen such tilts
FEATHER_SHARE = 0.06  # of the frame's side, over which the second reading fades in


def clean(label_map: np.ndarray, num_regions: int) -> np.ndarray:
    """Keep the largest connected piece of each class, drop crumbs, fill the holes that are then in it."""
    pieces = {index: largest_piece(label_map == index) for index in range(1, num_regions + 1)}
    smallest = SMALLEST_SHARE * label_map.size
    pieces = {index: piece for index, piece in pieces.items() if piece.sum() >= smallest}
    kept = np.zeros_like(label_map)
    for index, piece in pieces.items():
        kept[piece > 0] = index
    whole = kept.copy()
    for index, piece in pieces.items():
        outlines, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = cv2.drawContours(np.zeros_like(piece), outlines, -1, 1, cv2.FILLED)
        whole[(filled > 0) & (kept == 0)] = index
    return whole


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest 8-connected piece of a boolean mask as uint8 0 and 1; all 0 for an empty mask."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return np.zeros(mask.shape, np.uint8)
    largest: np.ndarray = (pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    return largest


def upright_frame(
    label_map: np.ndarray, frame_classes: list[int], height: int, width: int
) -> np.ndarray | None:
    """The 2x3 matrix from the label map's grid to a frame in which the frame regions are upright and of
    usual size.

    Up is from the centre of all other regions to that of the frame regions; without others the film's own
    up stays. None where the frame regions weren't found. The frame is never coarser than the grid.
    """
    framed = np.isin(label_map, frame_classes)
    if framed.sum() < max(2, SMALLEST_SHARE * label_map.size):
        return None
    centre = np.argwhere(framed).mean(0)[::-1]
    radius = math.sqrt(((np.argwhere(framed)[:, ::-1] - centre) ** 2).sum(1).mean())
    others = np.argwhere((label_map > 0) & ~framed)[:, ::-1]
    up = centre - others.mean(0) if len(others) else np.array([0.0, -1.0])
    turn = math.atan2(up[0], -up[1])  # clockwise angle of the hand, undone by the frame
    if abs(turn) < math.radians(UPRIGHT_DEG):
        turn = 0.0
    scale = max(1.0, height / (FRAME_RADII * radius))
    linear = scale * np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    offset = np.array([(width - 1) / 2, (height - 1) / 2]) - linear @ centre
    return np.hstack([linear, offset[:, None]])


def feather(height: int, width: int) -> np.ndarray:
    """Share of the second reading: 0 at the frame's border, rising to 1 inside, float32."""
    y = np.minimum(np.arange(height), np.arange(height)[::-1]) / (FEATHER_SHARE * height)
    x = np.minimum(np.arange(width), np.arange(width)[::-1]) / (FEATHER_SHARE * width)
    share: np.ndarray = np.clip(np.minimum(y[:, None], x), 0, 1).astype(np.float32)
    return share


def warp_linear(
    plane: np.ndarray, matrix: np.ndarray, height: int, width: int, extend: bool = False
) -> np.ndarray:
    """A float32 plane seen from another grid: `matrix` takes that to the plane; 0 or its border beyond."""
    warped: np.ndarray = cv2.warpAffine(
        plane,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if extend else cv2.BORDER_CONSTANT,
    )
    return warped


def merge(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`second` in the share given, `first` for the rest."""
    merged: np.ndarray = first + share * (second - first)
    return merged
