"""A segmenter at rest: model.safetensors, and the settings in model.json that rebuild the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipelines.config import StudyConfig
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.described import SECTION
from pipelines.segmentation.experts import ExpertSegmenter
from pipelines.segmentation.plausible import RegionSizes
from storage.errors import ConfigError, InputError


@dataclass(frozen=True, kw_only=True)
class SegmenterSettings:
    """What a segmenter's weights need to be read: shape of the network, grid, regions."""

    regions: list[str]
    """Names of the classes 1, 2, ...; 0 is background."""
    channels: list[int]
    experts: int
    samples: int
    latent: int
    hidden: int
    grid_height: int
    grid_width: int
    second_pass: bool
    frame_regions: list[str]
    side_regions: list[str]
    sizes: RegionSizes | None = None
    """How large the regions of the films that trained are; None before training."""

    @classmethod
    def of(cls, config: SegmentationConfig, study: StudyConfig) -> SegmenterSettings:
        """The settings of a new segmenter; ConfigError where a frame region isn't one of the study's."""
        unknown = sorted(set(config.frame_regions) - set(study.regions))
        if config.second_pass and (unknown or not config.frame_regions):
            raise ConfigError(
                "segmentation.frame_regions must name regions of the study"
                f" ({', '.join(study.regions)}), but is {config.frame_regions}."
            )
        strange = sorted(set(config.side_regions) - set(study.regions))
        if strange:
            raise ConfigError(
                "segmentation.side_regions must name regions of the study"
                f" ({', '.join(study.regions)}), but is {config.side_regions}."
            )
        return cls(
            regions=list(study.regions),
            channels=list(config.channels),
            experts=config.experts,
            samples=config.samples,
            latent=config.latent,
            hidden=config.hidden,
            grid_height=config.grid_height,
            grid_width=config.grid_width,
            second_pass=config.second_pass,
            frame_regions=list(config.frame_regions) if config.second_pass else [],
            side_regions=list(config.side_regions),
        )

    @property
    def frame_classes(self) -> list[int]:
        """Class indices of the frame regions."""
        return [self.regions.index(name) + 1 for name in self.frame_regions]

    @property
    def side_classes(self) -> list[int]:
        """Class indices of the side regions."""
        return [self.regions.index(name) + 1 for name in self.side_regions]

    def build(self) -> ExpertSegmenter:
        """The network with fresh weights from torch's generator."""
        model = ExpertSegmenter(
            channels=self.channels,
            num_classes=len(self.regions) + 1,
            experts=self.experts,
            samples=self.samples,
            latent=self.latent,
            hidden=self.hidden,
        )
        model.unet.to(memory_format=torch.channels_last)
        return model

    def to_dict(self) -> dict[str, Any]:
        """Plain values for model.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SegmenterSettings:
        """The inverse of `to_dict`."""
        sizes = values["sizes"] and RegionSizes(**values["sizes"])
        return cls(**values | {"sizes": sizes})


def read_model(folder: Path) -> tuple[SegmenterSettings, dict[str, Tensor]]:
    """Settings and tensors of the segmenter in a folder, be it alone there or part of a larger model."""
    try:
        settings = SegmenterSettings.from_dict(json.loads((folder / "model.json").read_text())[SECTION])
        tensors = load_file(folder / "model.safetensors")
    except FileNotFoundError as error:
        name = Path(error.filename or "model.safetensors").name
        raise InputError(f"{folder} must hold a segmenter, but has no {name}: train one first.") from error
    except (json.JSONDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder} holds no segmenter this version can read; train it again.") from error
    return settings, own_tensors(tensors)


def own_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The segmenter's tensors without their prefix; all of them where none has it."""
    prefix = SECTION + "."
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return own or dict(tensors)
