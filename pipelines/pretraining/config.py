"""Settings of self-supervised pretraining; the defaults are the paper's where it gives any, else SwAV's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipelines.training.config import TrainingConfig
from storage.errors import check_at_least, check_between, check_one_of

METHODS = ("simclr", "none")


@dataclass(kw_only=True, slots=True)
class PretrainingConfig(TrainingConfig):
    """Which crops, which views of them, which encoder and which loss."""

    section: ClassVar[str] = "pretraining"

    steps: int = 14000
    batch_size: int = 128
    lr: float = 0.3
    weight_decay: float = 1e-6
    warmup_steps: int = 700
    optimizer: str = "larc"
    checkpoint_every_steps: int = 500

    method: str = METHODS[0]
    """simclr, or none: the encoder as it was initialised, a control."""
    subjects: str = "without_outcome"
    """without_outcome serves every fold with one encoder; all also sees the images of test subjects."""
    backbone: str = "resnet50"
    """Name of a timm model."""
    crop_pixels: int = 256
    """Side of the cached squares from which views are cut; best at 1 to 1.5 times global_size."""
    global_size: int = 224
    """Side of a global view in pixels."""
    local_size: int = 96
    """Side of a local view in pixels."""
    num_global: int = 2
    """Global views of a crop in a step."""
    num_local: int = 4
    """Local views of a crop in a step."""
    global_scale_min: float = 0.14
    """Least share of the square's area that a global view covers."""
    global_scale_max: float = 1.0
    """Largest share of a global view."""
    local_scale_min: float = 0.05
    """Least share of a local view."""
    local_scale_max: float = 0.14
    """Largest share of a local view."""
    content_aware: bool = True
    """Only views with enough bone; False takes any, the conventional multi-crop."""
    min_content: float = 0.1
    """Least share of a view inside the bone's mask."""
    temperature: float = 0.1
    """Divides the similarities of the contrastive loss."""
    projection_hidden: int = 2048
    """Hidden features of the projection head, which is thrown away after the training."""
    projection_size: int = 128
    """Features of an embedding that the loss compares."""

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)  # super() knows the wrong class where slots=True made a new one
        check_one_of("pretraining.method", self.method, METHODS)
        check_one_of("pretraining.subjects", self.subjects, ("without_outcome", "all"))
        for field, least in (
            ("crop_pixels", 32),
            ("global_size", 32),
            ("local_size", 32),
            ("num_global", 1),
            ("num_local", 0),
            ("projection_hidden", 1),
            ("projection_size", 2),
        ):
            check_at_least(f"pretraining.{field}", getattr(self, field), least)
        check_at_least("pretraining.num_global + num_local", self.num_global + self.num_local, 2)
        for kind in ("global", "local"):
            low, high = getattr(self, f"{kind}_scale_min"), getattr(self, f"{kind}_scale_max")
            check_between(f"pretraining.{kind}_scale_min", low, 0.01, high)
            check_between(f"pretraining.{kind}_scale_max", high, low, 1)
        check_between("pretraining.min_content", self.min_content, 0, 1)
        check_between("pretraining.temperature", self.temperature, 0.001, 10)

    @property
    def num_views(self) -> int:
        """Views of one crop in a step."""
        return self.num_global + self.num_local
