"""From a film of any size and depth to the two channels that the network sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

LOW_PERCENT, HIGH_PERCENT = 1.0, 98.5  # gray values outside become black and white
CLAHE_TILES = (4, 5)  # columns, rows
CLAHE_CLIP = 2.5


@dataclass(frozen=True)
class Placement:
    """How a film lies on the grid: grid = film * scale + offset, in coordinates of pixel corners."""

    scale: float
    """Grid pixels per film pixel."""
    offset_y: float
    offset_x: float

    @property
    def matrix(self) -> np.ndarray:
        """The 2x3 matrix that takes film to grid coordinates (x, y) of pixel centres."""
        centre = (self.scale - 1) / 2
        return np.array(
            [[self.scale, 0, self.offset_x + centre], [0, self.scale, self.offset_y + centre]], np.float64
        )


def place(film_height: int, film_width: int, height: int, width: int) -> Placement:
    """The whole film as large as the grid allows, in its middle, without distortion."""
    scale = min(height / film_height, width / film_width)
    return Placement(scale, (height - film_height * scale) / 2, (width - film_width * scale) / 2)


def prepare(
    pixels: np.ndarray, bits: int, matrix: np.ndarray, height: int, width: int, clip: float = CLAHE_CLIP
) -> np.ndarray:
    """The film on the grid as uint8 (height, width, 2): stretched gray values, and these after CLAHE.

    pixels: HxW uint8 or uint16 with `bits` significant bits, brighter = more attenuation; matrix: film to
    grid, 2x3. Beyond the film its border is repeated.
    """
    gray = stretch(warp_film(pixels, matrix, height, width), bits)
    return np.dstack([gray, cv2.createCLAHE(clip, CLAHE_TILES).apply(gray)])


def warp_film(pixels: np.ndarray, matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resample by a similarity; a film finer than the grid is averaged first, so that nothing aliases."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 1:
        fine_height, fine_width = pixels.shape
        size = max(1, round(fine_width * scale)), max(1, round(fine_height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        shrink_x, shrink_y = size[0] / fine_width, size[1] / fine_height
        # From centres of shrunken pixels to centres of film pixels, then on to the grid.
        back = np.array(
            [[1 / shrink_x, 0, (1 / shrink_x - 1) / 2], [0, 1 / shrink_y, (1 / shrink_y - 1) / 2]]
        )
        matrix = compose(matrix, back)
    warped: np.ndarray = cv2.warpAffine(
        pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The 2x3 matrix that applies `first`, then `second`."""
    combined: np.ndarray = second[:, :2] @ first
    combined[:, 2] += second[:, 2]
    return combined


def stretch(gray: np.ndarray, bits: int) -> np.ndarray:
    """Spread the gray values between two percentiles over 0 .. 255, uint8; a nearly blank film stays flat."""
    low, high = np.percentile(gray[::2, ::2], (LOW_PERCENT, HIGH_PERCENT))
    smallest_range = 2.0 ** max(0, bits - 6)
    scaled = (gray.astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, smallest_range))
    stretched: np.ndarray = np.clip(scaled, 0, 255).astype(np.uint8)
    return stretched


def warp_mask(mask: np.ndarray, matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    """A label map on the grid, nearest neighbour, background beyond the film."""
    warped: np.ndarray = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST)
    return warped


def standardise(channels_BHWC: np.ndarray) -> Tensor:
    """Network input float32 (B, C, H, W), channels_last; mean 0 and deviation 1 by film and channel."""
    image_BCHW = torch.from_numpy(channels_BHWC).permute(0, 3, 1, 2).float()
    mean = image_BCHW.mean((2, 3), keepdim=True)
    deviation = image_BCHW.std((2, 3), keepdim=True)
    return ((image_BCHW - mean) / (deviation + 0.25)).contiguous(memory_format=torch.channels_last)
