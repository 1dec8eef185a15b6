"""Settings of the segmenter. The defaults are the recipe for real films: under an hour on two cores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pipelines.training.config import TrainingConfig
from storage.errors import ConfigError, check_at_least, check_between, check_one_of


@dataclass(kw_only=True, slots=True)
class SegmentationConfig(TrainingConfig):
    """How bones are found: the model, its loss, its data, and how films are read with it."""

    section: ClassVar[str] = "segmentation"

    steps: int = 2400
    batch_size: int = 8
    lr: float = 3e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 60
    ema: float = 0.99
    gradient_clip: float = 2.0
    validate_every: int = 800
    """Steps between validations; the weights of the best one are kept."""

    grid_height: int = 320
    """Rows of the grid on which the network works; a film is fitted into it without distortion."""
    grid_width: int = 256
    """Columns of that grid."""
    channels: list[int] = field(default_factory=lambda: [24, 48, 96, 160, 192])
    """Width of each level of the U-Net; the first works at half the grid's size."""
    experts: int = 4
    """K, stochastic heads that the router weighs."""
    samples: int = 2
    """S, codes drawn per expert; N = experts * samples label maps per film."""
    latent: int = 8
    """L, size of a code."""
    hidden: int = 16
    """Features between the three 1x1 convolutions of the head."""

    gamma_start: float = 0.25
    """The most that one of N samples may carry at the first step (at least 1 / N); annealed to 1."""
    gamma_share: float = 0.6
    """Share of the steps after which the cap is gone."""
    router_weight: float = 0.1
    """lambda, of the router's loss."""
    half_resolution_share: float = 0.6
    """Share of the steps, from the first, at half the grid's size: a quarter of the time each."""

    subjects: str = "without_outcome"
    """Whose films train: without_outcome, so that one model serves every fold, or all."""
    validation_share: float = 0.15
    """Share of the annotated subjects that only validate."""
    validation_films: int = 24
    """At most this many films validate."""
    foreign_views: float = 0.5
    """Share of the training views that look as if made elsewhere: other tone, noise, frames, boxes. Less suffices
    where new films will look like those that train."""
    wide_poses: float = 1.0
    """Share of the training views tilted and scaled as films of unknown origin may be. Less suffices where new
    films will lie like those that train."""
    cache_gb: float = 2.0
    """Prepared films are kept in memory up to this size; films beyond it don't train."""

    second_pass: bool = True
    """Read every film twice: as a whole, then turned upright and at the bones' scale."""
    frame_regions: list[str] = field(
        default_factory=lambda: [f"metacarpal{number}" for number in range(1, 6)]
    )
    """Regions whose extent sets the scale of the second pass; those of the study not named here lie below."""
    side_regions: list[str] = field(default_factory=lambda: ["metacarpal1", "metacarpal5", "radius"])
    """Three regions whose order tells a left film from a right one: films train as one side and are read as
    both. Empty where sides look alike; mirrored views train then."""

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        for name, least in (
            ("validate_every", 1),
            ("experts", 1),
            ("samples", 1),
            ("latent", 1),
            ("hidden", 1),
            ("router_weight", 0),
            ("validation_films", 1),
            ("cache_gb", 0.01),
        ):
            check_at_least(f"segmentation.{name}", getattr(self, name), least)
        for name in ("gamma_share", "half_resolution_share", "foreign_views", "wide_poses"):
            check_between(f"segmentation.{name}", getattr(self, name), 0, 1)
        check_between("segmentation.validation_share", self.validation_share, 0.01, 0.9)
        check_between("segmentation.gamma_start", self.gamma_start, 1 / (self.experts * self.samples), 1)
        check_one_of("segmentation.subjects", self.subjects, ("without_outcome", "all"))
        if len(self.side_regions) not in (0, 3):
            raise ConfigError(
                f"segmentation.side_regions must name three regions or none, but is {self.side_regions}."
            )
        if len(self.channels) < 2 or min(self.channels) < 1:
            raise ConfigError(
                f"segmentation.channels must be at least two positive widths, but is {self.channels}."
            )
        multiple = 2 ** (len(self.channels) + 1)  # half of the grid must still halve at every level
        for name in ("grid_height", "grid_width"):
            if getattr(self, name) < multiple or getattr(self, name) % multiple:
                raise ConfigError(
                    f"segmentation.{name} must be a multiple of {multiple} with {len(self.channels)} levels,"
                    f" but is {getattr(self, name)}."
                )
