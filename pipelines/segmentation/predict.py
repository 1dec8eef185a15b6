"""Find the bones on one film: a label map at its own size, probability, entropy and expert weights on the grid.

The film is read as a whole, in the pose of which the network is surest (pose.py). Where that finds the frame
regions (a hand's metacarpals), it is read again, turned upright and at the scale of these bones, and the two
readings are averaged where both reach. Each is a mean over all samples with the router's weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor

from pipelines.segmentation.experts import mean_probability
from pipelines.segmentation.model import SegmenterSettings, read_model
from pipelines.segmentation.plausible import RegionSizes
from pipelines.segmentation.pose import STRANGENESS_WEIGHT, poses, region_confidence, surest
from pipelines.segmentation.prepare import Placement, compose, place, prepare, standardise, warp_mask
from pipelines.segmentation.shapes import SMALLEST_SHARE, clean, feather, merge, upright_frame, warp_linear
from pipelines.training.precision import autocast

# Two readings err in different places. On 55 phantoms and on the 12 real films with masks, .5 to .7 was best by .004
# of Dice over the second reading alone, and it by .007 over the first.
LATER_SHARE = 0.6


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


@dataclass(frozen=True)
class Reading:
    """One pass of the network over a film."""

    matrix: np.ndarray
    """2x3, takes the film to the grid of this reading."""
    probability: np.ndarray
    """CHW float32 on that grid."""
    expert_weights: np.ndarray
    """K float32."""


class Segmenter:
    """A trained segmenter, ready to read films; the same film always gives the same bits."""

    def __init__(
        self, settings: SegmenterSettings, tensors: Mapping[str, Tensor], device: str = "cpu"
    ) -> None:
        self.settings = settings
        self._device = torch.device(device)
        self._sizes = settings.sizes or RegionSizes.of([], len(settings.regions))
        self._model = settings.build()
        self._model.load_state_dict(tensors)
        self._model.eval().to(self._device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """From a folder with model.safetensors and model.json; InputError where it holds no segmenter."""
        return cls(*read_model(folder), device=device)

    def predict(self, pixels: np.ndarray, bits: int) -> Prediction:
        """Read one film: HxW uint8 or uint16 with `bits` significant bits, brighter = more attenuation."""
        size = self.settings.grid_height, self.settings.grid_width
        placement = place(pixels.shape[0], pixels.shape[1], *size)
        readings = [self._surest_reading(pixels, bits, placement)]
        if self.settings.second_pass:
            found = clean(readings[0].probability.argmax(0).astype(np.uint8), len(self.settings.regions))
            frame = upright_frame(found, self.settings.frame_classes, *size)
            if frame is not None:
                readings.append(self._read(pixels, bits, compose(frame, readings[0].matrix)))
        label_map = clean(
            film_classes(readings, pixels.shape[0], pixels.shape[1]), len(self.settings.regions)
        )
        from_grid = cv2.invertAffineTransform(placement.matrix)
        probability = np.stack(list(blended(readings, from_grid, *size)))
        return Prediction(
            label_map=label_map,
            grid_label_map=warp_mask(label_map, placement.matrix, *size),
            probability=probability,
            entropy=-(probability * np.log(np.maximum(probability, 1e-12))).sum(0),
            expert_weights=readings[-1].expert_weights,
            placement=placement,
        )

    def _surest_reading(self, pixels: np.ndarray, bits: int, placement: Placement) -> Reading:
        """The reading of the whole film, turned and mirrored as the network is surest of it."""
        size = self.settings.grid_height, self.settings.grid_width
        sides = 2 if self.settings.side_regions else 1
        candidates = poses(*size, mirrored=sides == 2)
        readings: list[Reading] = []

        def confidence(pose: np.ndarray) -> float:
            readings.append(self._read(pixels, bits, compose(pose, placement.matrix)))
            probability, smallest_px = readings[-1].probability, SMALLEST_SHARE * size[0] * size[1]
            strangeness = self._sizes.strangeness(probability.argmax(0), smallest_px)
            return region_confidence(probability, smallest_px) - STRANGENESS_WEIGHT * strangeness

        return readings[surest(candidates, sides, confidence)]

    @torch.inference_mode()
    def _read(self, pixels: np.ndarray, bits: int, matrix: np.ndarray) -> Reading:
        """What the network says of the film seen through `matrix`."""
        channels = prepare(pixels, bits, matrix, self.settings.grid_height, self.settings.grid_width)
        image_BCHW = standardise(channels[None]).to(self._device)
        with autocast(self._device, bf16=True):
            output = self._model(image_BCHW, self._model.fixed_noise(1))
        probability_CHW = mean_probability(output)[0]
        return Reading(matrix, probability_CHW.cpu().numpy(), output.log_pi_BK[0].exp().cpu().numpy())


def film_classes(readings: list[Reading], height: int, width: int) -> np.ndarray:
    """Most probable class per film pixel (HW uint8), class by class so that memory stays flat for any film."""
    best = np.full((height, width), -math.inf, np.float32)
    classes = np.zeros((height, width), np.uint8)
    for index, value in enumerate(blended(readings, np.eye(2, 3), height, width)):
        better = value > best
        best[better] = value[better]
        classes[better] = index
    return classes


def blended(readings: list[Reading], to_film: np.ndarray, height: int, width: int) -> Iterator[np.ndarray]:
    """Probability of one class after the other on a grid that `to_film` takes to the film: HW float32.

    The first reading counts everywhere, a later one for LATER_SHARE wherever it reaches, fading in from its border.
    """
    first, *later = readings
    share = LATER_SHARE * feather(*first.probability.shape[1:])
    views = [compose(reading.matrix, to_film) for reading in readings]
    shares = [warp_linear(share, view, height, width) for view in views[1:]]
    for index, plane in enumerate(first.probability):
        value = warp_linear(plane, views[0], height, width, extend=True)
        for reading, view, share in zip(later, views[1:], shares, strict=True):
            value = merge(value, warp_linear(reading.probability[index], view, height, width), share)
        yield value
