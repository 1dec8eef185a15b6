"""Settings of pretraining; the defaults are the paper's where it gives any, else those of the method's authors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipelines.config import BONES, REGIONS
from pipelines.training.config import TrainingConfig
from storage.errors import check_at_least, check_between, check_one_of

METHODS = ("simclr", "supcon", "swav", "vicreg", "none")


@dataclass(kw_only=True, slots=True)
class PretrainingConfig(TrainingConfig):
    """Which crops, which views of them, which encoder and which loss."""

    section: ClassVar[str] = "pretraining"

    steps: int = 14000
    batch_size: int = 128
    lr: float = 0.0
    """Peak learning rate, reached after the warm-up; 0 takes the method's own for this batch and optimizer."""
    weight_decay: float = 1e-6
    warmup_steps: int = 700
    optimizer: str = "larc"
    larc_exclude: str = "auto"
    """What neither decays nor gets an adapted rate: vectors (biases, norms), nothing, or auto, the method's own."""
    checkpoint_every_steps: int = 500

    method: str = METHODS[0]
    """simclr, swav, vicreg; supcon, an encoder per fold by its training outcomes; none, the encoder as initialised."""
    regions: str = BONES
    """bones as they were segmented; whole films; or patches, seven squares anywhere on a film, for comparison."""
    subjects: str = "without_outcome"
    """without_outcome keeps out who has one, but whom a fold's own encoder may know; all sees test subjects, too."""
    backbone: str = "resnet50"
    """Name of a timm model."""
    channels: int = 1
    """Channels the encoder takes: 1, or 3 (gray three times, normalised as its published weights expect)."""
    initial_weights: str | None = None
    """A safetensors file of the backbone, imagenet (from an installed package), or null for random weights."""
    crop_pixels: int = 256
    """Side of the cached squares from which views are cut; best at 1 to 1.5 times global_size."""
    crop_mm_per_pixel: float = 0.0
    """Millimetres of a cached pixel, the same for every bone; 0 fits each bone into its square instead."""
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
    temperature: float = 0.0
    """Divides the similarities that a loss compares; 0 takes the method's own. vicreg has none."""
    projection_hidden: int = 0
    """Hidden features of the projection head, thrown away after training; 0 takes the method's own."""
    projection_size: int = 0
    """Features of an embedding that the loss compares; 0 takes the method's own."""
    mask_same_subject: bool = False
    """True: other bones of a subject are no negatives of its bones (simclr, supcon)."""
    supervised_minority: bool = False
    """True: supcon draws together subjects of the rarer outcome alone, against collapse of the commoner."""
    class_balance: bool = True
    """supcon meets both outcomes equally often: crops of the rarer one come up to as often as the other's."""
    num_prototypes: int = 0
    """Prototypes of swav; 0 takes a tenth of the crops, 16 to 3000."""
    frozen_epochs: int = 1
    """Epochs over which swav's prototypes stay as they were initialised."""
    sinkhorn_epsilon: float = 0.05
    """Smoothness of swav's assignments, from 0.02; lower is sharper."""
    queue_batches: int = 15
    """Batches of past embeddings that swav assigns together with the present one; 0 is no queue."""
    queue_from_epoch: int = 15
    """Epoch (from 0) in which swav's queue begins to fill; it is used once it is full."""

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)  # super() knows the wrong class where slots=True made a new one
        check_one_of("pretraining.method", self.method, METHODS)
        check_one_of("pretraining.regions", self.regions, REGIONS)
        check_one_of("pretraining.subjects", self.subjects, ("without_outcome", "all"))
        check_one_of("pretraining.channels", str(self.channels), ("1", "3"))
        for field, least in (
            ("crop_pixels", 32),
            ("global_size", 32),
            ("local_size", 32),
            ("num_global", 1),
            ("num_local", 0),
            ("projection_hidden", 0),
            ("projection_size", 0),
            ("num_prototypes", 0),
            ("frozen_epochs", 0),
            ("queue_batches", 0),
            ("queue_from_epoch", 0),
        ):
            check_at_least(f"pretraining.{field}", getattr(self, field), least)
        check_at_least("pretraining.num_global + num_local", self.num_global + self.num_local, 2)
        for kind in ("global", "local"):
            low, high = getattr(self, f"{kind}_scale_min"), getattr(self, f"{kind}_scale_max")
            check_between(f"pretraining.{kind}_scale_min", low, 0.01, high)
            check_between(f"pretraining.{kind}_scale_max", high, low, 1)
        check_between("pretraining.min_content", self.min_content, 0, 1)
        if self.temperature:
            check_between("pretraining.temperature", self.temperature, 0.001, 10)
        if self.crop_mm_per_pixel:
            check_between("pretraining.crop_mm_per_pixel", self.crop_mm_per_pixel, 0.01, 10)
        check_between("pretraining.sinkhorn_epsilon", self.sinkhorn_epsilon, 0.02, 10)

    @property
    def num_views(self) -> int:
        """Views of one crop in a step."""
        return self.num_global + self.num_local
