"""What a user may set about classification."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.config import BONES, REGIONS
from storage.errors import ConfigError, check_at_least, check_between, check_one_of

ENCODERS = ("frozen", "fine_tuned")
THRESHOLDS = ("f1", "youden", "sensitivity", "0.5")


@dataclass(kw_only=True, slots=True)
class ClassificationConfig:
    """A linear layer on frozen features, one for all regions, and the mean of its probabilities per subject."""

    regions: str = BONES
    """What is read: bones, the whole film (one probability per film), or patches, seven squares anywhere on it."""
    encoder: str = "frozen"
    """frozen under a linear layer; or fine_tuned, all weights, in every training part anew, as supervised.* says."""
    input_size: int = 224
    """Side in pixels of the square region images that the encoder sees."""
    l2: list[float] = field(default_factory=lambda: [0.001, 0.01, 0.1, 1.0, 10.0])
    """Candidate weights of the squared norm beside the mean log loss; the inner folds choose."""
    inner_folds: int = 4
    """Folds of the training part, which choose l2, threshold and calibration."""
    threshold: str = "f1"
    """How the inner folds set the subject's threshold: f1 (macro), youden, sensitivity, or 0.5 as it is."""
    sensitivity: float = 0.9
    """Share of the positives that threshold=sensitivity must find in the inner folds."""
    batch_size: int = 64
    """Region images per pass through the encoder."""

    def __post_init__(self) -> None:
        check_one_of("classification.regions", self.regions, REGIONS)
        check_one_of("classification.encoder", self.encoder, ENCODERS)
        check_at_least("classification.input_size", self.input_size, 32)
        if not self.l2 or min(self.l2) <= 0:
            raise ConfigError(f"classification.l2 must hold numbers above 0, but is {self.l2}.")
        check_at_least("classification.inner_folds", self.inner_folds, 2)
        check_one_of("classification.threshold", self.threshold, THRESHOLDS)
        check_between("classification.sensitivity", self.sensitivity, 0.5, 1)
        check_at_least("classification.batch_size", self.batch_size, 1)
