"""Find the bones on one film: a label map at its own size, probability, entropy and expert weights on the grid.

The film is read as a whole, in the pose of which the network is surest (pose.py). Where that finds the frame
regions (a hand's metacarpals), it is read again, turned upright and at the scale of these bones, and the second
reading counts wherever it reaches. Both are averaged over all samples with the router's weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.segmentation.experts import mean_probability
from pipelines.segmentation.model import SegmenterSettings, read_model
from pipelines.segmentation.pose import poses, region_confidence, surest
from pipelines.segmentation.prepare import Placement, compose, place, prepare, standardise, warp_mask
from pipelines.segmentation.shapes import SMALLEST_SHARE, clean, feather, merge, upright_frame, warp_linear
from pipelines.training.precision import autocast


@dataclass(frozen=True)
class Prediction:
    """What the segmenter says of a film; grid arrays lie as `placement` tells."""

    label_map: np.ndarray
    """HW uint8 at the film's size: class of the mean probability, one piece per region, crumbs removed."""
    grid_label_map: np.ndarray
    """The same on the grid."""
    probability: np.ndarray
    """CHW float32 on the grid, the mean over experts and codes."""
    entropy: np.ndarray
    """HW float32 on the grid, nats, of that mean."""
    expert_weights: np.ndarray
    """K float32, the router's, from the last reading."""
    placement: Placement


class Segmenter:
    """A trained segmenter, ready to read films; the same film always gives the same bits."""

    def __init__(
        self, settings: SegmenterSettings, tensors: Mapping[str, Tensor], device: str = "cpu"
    ) -> None:
        self.settings = settings
        self._device = torch.device(device)
        self._model = settings.build()
        self._model.load_state_dict(tensors)
        self._model.eval().to(self._device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """From a folder with model.safetensors and model.json; InputError where it holds no segmenter."""
        return cls(*read_model(folder), device=device)

    def predict(self, pixels: np.ndarray, bits: int) -> Prediction:
        """Read one film: HxW uint8 or uint16 with `bits` significant bits, brighter = more attenuation."""
        settings = self.settings
        size = settings.grid_height, settings.grid_width
        placement = place(pixels.shape[0], pixels.shape[1], *size)
        pose = self._pose(pixels, bits, placement)
        to_grid = compose(pose, placement.matrix)
        probability, weights = self._read(pixels, bits, to_grid)
        readings = [(to_grid, probability, np.ones(size, np.float32))]
        if settings.second_pass:
            found = clean(probability.argmax(0).astype(np.uint8), len(settings.regions))
            frame = upright_frame(found, settings.frame_classes, *size)
            if frame is not None:
                to_frame = compose(frame, to_grid)
                second, weights = self._read(pixels, bits, to_frame)
                readings.append((to_frame, second, feather(*size)))
                share = warp_linear(feather(*size), frame, *size)
                probability = np.stack(
                    [
                        merge(first, warp_linear(other, frame, *size), share)
                        for first, other in zip(probability, second, strict=True)
                    ]
                )
        probability = np.stack([warp_linear(plane, pose, *size, extend=True) for plane in probability])
        label_map = clean(film_classes(readings, pixels.shape[0], pixels.shape[1]), len(settings.regions))
        return Prediction(
            label_map=label_map,
            grid_label_map=warp_mask(label_map, placement.matrix, *size),
            probability=probability,
            entropy=-(probability * np.log(np.maximum(probability, 1e-12))).sum(0),
            expert_weights=weights,
            placement=placement,
        )

    def _pose(self, pixels: np.ndarray, bits: int, placement: Placement) -> np.ndarray:
        """How the film is best turned and mirrored on the grid, tried at half the resolution."""
        height, width = self.settings.grid_height, self.settings.grid_width
        sides = 2 if self.settings.side_regions else 1

        def confidence(pose: np.ndarray) -> float:
            probability, _ = self._read(pixels, bits, compose(pose, placement.matrix), shrink=2)
            return region_confidence(probability, SMALLEST_SHARE * probability[0].size)

        return surest(poses(height, width, mirrored=sides == 2), sides, confidence)

    @torch.inference_mode()
    def _read(
        self, pixels: np.ndarray, bits: int, matrix: np.ndarray, shrink: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean probability CHW and expert weights of the film seen through `matrix`; shrink: of the grid."""
        channels = prepare(pixels, bits, matrix, self.settings.grid_height, self.settings.grid_width)
        image_BCHW = F.avg_pool2d(standardise(channels[None]).to(self._device), shrink)
        with autocast(self._device, bf16=True):
            output = self._model(image_BCHW, self._model.fixed_noise(1))
        probability_CHW = mean_probability(output)[0]
        return probability_CHW.cpu().numpy(), output.log_pi_BK[0].exp().cpu().numpy()


def film_classes(
    readings: list[tuple[np.ndarray, np.ndarray, np.ndarray]], height: int, width: int
) -> np.ndarray:
    """Most probable class per film pixel (HW uint8), class by class so that memory stays flat for any film.

    readings: (film to grid 2x3, probability CHW, share HW of this reading over those before it).
    """
    shares = [warp_linear(share, matrix, height, width) for matrix, _, share in readings[1:]]
    best = np.full((height, width), -math.inf, np.float32)
    classes = np.zeros((height, width), np.uint8)
    for index in range(len(readings[0][1])):
        matrix, probability, _ = readings[0]
        value = warp_linear(probability[index], matrix, height, width, extend=True)
        for (matrix, probability, _), share in zip(readings[1:], shares, strict=True):
            value = merge(value, warp_linear(probability[index], matrix, height, width), share)
        better = value > best
        best[better] = value[better]
        classes[better] = index
    return classes
