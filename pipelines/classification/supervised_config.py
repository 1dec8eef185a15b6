"""What a user may set about supervised training on whole films: encoder, loss, one stage or two, selection."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipelines.training.config import TrainingConfig
from storage.errors import ConfigError, check_at_least, check_between, check_one_of

LOSSES = ("ce", "focal", "asl")
PROTOCOLS = ("inner", "paper")
SEED_CONTROLS = ("init", "split", "both")


@dataclass(kw_only=True, slots=True)
class SupervisedConfig(TrainingConfig):
    """One method of the HSG study: a loss, alone or on an encoder frozen after SupCon."""

    section: ClassVar[str] = "supervised"

    steps: int = 400
    """Optimizer updates of the encoder: the whole training, or SupCon's stage."""
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 40
    checkpoint_every_steps: int = 200

    loss: str = "asl"
    """ce, focal or asl."""
    supcon: bool = False
    """True trains the encoder by SupCon first, freezes it, and trains the classifier alone by the loss."""
    head_steps: int = 300
    """Updates of the classifier on the frozen encoder."""
    backbone: str = "efficientnet_b0"
    """Name of a timm model."""
    channels: int = 1
    """Channels the encoder takes: 1, or 3 (gray three times, normalised as its published weights expect)."""
    initial_weights: str | None = None
    """A safetensors file of the backbone, imagenet (from an installed package), or null for random weights."""
    embedding: int = 128
    """Length to which the encoder's features are reduced."""
    input_size: int = 224
    """Side in pixels of the square films that the encoder sees."""
    temperature: float = 0.1
    """Of SupCon."""
    focal_gamma: float = 2.0
    """Focusing of the focal loss."""
    asl_positive: float = 1.0
    """Focusing of ASL for occluded exams."""
    asl_negative: float = 4.0
    """Focusing of ASL for the others."""
    asl_margin: float = 0.05
    """Probability below which ASL forgets a negative."""
    protocol: str = "inner"
    """inner chooses weights and threshold on women held out of training; paper chooses weights on the test women."""
    seed_controls: str = "init"
    """What differs between seeds: init (weights, order), split (who is tested), or both."""

    of_the_head: ClassVar[tuple[str, ...]] = (
        *("loss", "focal_gamma", "asl_positive", "asl_negative", "asl_margin", "head_steps"),
    )
    """Settings that SupCon's stage does not read: trials that differ in these alone train the same encoder."""

    def __post_init__(self) -> None:
        TrainingConfig.__post_init__(self)
        check_one_of("supervised.loss", self.loss, LOSSES)
        check_one_of("supervised.protocol", self.protocol, PROTOCOLS)
        check_one_of("supervised.seed_controls", self.seed_controls, SEED_CONTROLS)
        check_one_of("supervised.channels", str(self.channels), ("1", "3"))
        check_at_least("supervised.head_steps", self.head_steps, 1)
        check_at_least("supervised.embedding", self.embedding, 2)
        check_at_least("supervised.input_size", self.input_size, 32)
        for name in ("focal_gamma", "asl_positive", "asl_negative"):
            _check_exponent(f"supervised.{name}", getattr(self, name))
        check_between("supervised.asl_margin", self.asl_margin, 0, 0.5)
        check_between("supervised.temperature", self.temperature, 0.01, 10)

    def told(self) -> dict[str, Any]:
        """All settings, the initial weights by their content: where they lie is nobody's business but its owner's."""
        settings, weights = asdict(self), self.initial_weights
        if weights is not None and Path(weights).is_file():
            with Path(weights).open("rb") as file:
                settings["initial_weights"] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        return settings

    @property
    def method(self) -> str:
        """The method's name in the paper's table."""
        name = {"ce": "CE", "focal": "Focal", "asl": "ASL"}[self.loss]
        return f"SupCon+{name}" if self.supcon else name


def _check_exponent(field: str, value: float) -> None:
    """Between 0 and 1 the gradient of a sample that is quite right is infinite."""
    if value and not value >= 1:
        raise ConfigError(f"{field} must be 0 or at least 1, but is {value}.")
