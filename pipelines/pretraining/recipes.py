"""What each method takes where the user leaves it open, and which mixes are known to fail.

Rates are those for layer-wise adapted SGD (optimizer=larc) of the authors, at their rule for the batch:
SimCLR, SupCon  0.075 sqrt(batch), SimCLR's appendix B.1; SupCon's own 0.05 is for plain SGD
SwAV            0.6 batch / 256; adapts and decays every parameter
VICReg          base batch / 256 with base 0.8, 0.5, 0.4 for a batch up to 128, up to 256, beyond (appendix C.4)
With optimizer=adamw all take DINO's 0.0005 batch / 256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pipelines.pretraining.config import PretrainingConfig

FEW_CROPS = 32  # in a batch, for methods that need others to compare with


@dataclass(frozen=True)
class Recipe:
    """A method's own values; the head's sizes are multiples of the encoder's features, or plain numbers."""

    temperature: float = 0.1
    larc_exclude: str = "vectors"
    hidden_per_feature: int = 1
    projection_size: int = 128
    """0: as wide as the hidden layers."""


RECIPES = {
    "simclr": Recipe(),
    "supcon": Recipe(),
    "swav": Recipe(larc_exclude="nothing"),
    # 8192-8192-8192 on ResNet-50
    "vicreg": Recipe(hidden_per_feature=4, projection_size=0),
}


def resolved(config: PretrainingConfig, num_features: int, num_crops: int) -> PretrainingConfig:
    """The configuration with the method's own values in every place left open; `method` is not none."""
    recipe = RECIPES[config.method]
    hidden = config.projection_hidden or recipe.hidden_per_feature * num_features
    return replace(
        config,
        lr=config.lr or own_rate(config),
        temperature=config.temperature or recipe.temperature,
        larc_exclude=recipe.larc_exclude if config.larc_exclude == "auto" else config.larc_exclude,
        projection_hidden=hidden,
        projection_size=config.projection_size or recipe.projection_size or hidden,
        num_prototypes=config.num_prototypes or min(max(num_crops // 10, 16), 3000),
    )


def own_rate(config: PretrainingConfig) -> float:
    """The method's peak rate for this batch and optimizer."""
    batch = config.batch_size
    if config.optimizer == "adamw":
        return 0.0005 * batch / 256
    if config.method == "swav":
        return 0.6 * batch / 256
    if config.method == "vicreg":
        return (0.8 if batch <= 128 else 0.5 if batch <= 256 else 0.4) * batch / 256
    return 0.075 * math.sqrt(batch)


def unsafe_mixes(config: PretrainingConfig, num_crops: int) -> list[str]:
    """A sentence for each choice of a resolved configuration that is known to fail."""
    found = []
    batch, method = config.batch_size, config.method
    if config.warmup_steps >= config.steps:
        found.append(
            f"pretraining.warmup_steps={config.warmup_steps} of pretraining.steps={config.steps}: the rate never falls;"
            " a tenth of the steps is usual."
        )
    if config.optimizer == "adamw" and config.lr > 0.01:
        found.append(f"pretraining.lr={config.lr:g} is a rate for larc; adamw wants 0.001 or less.")
    if method == "vicreg" and (config.optimizer != "larc" or not config.warmup_steps):
        found.append(
            "VICReg without larc or without warm-up is known to end in NaN; set pretraining.optimizer=larc and"
            " pretraining.warmup_steps to a tenth of the steps."
        )
    if num_crops < FEW_CROPS:
        found.append(
            f"There are {num_crops} crops in all to compare with one another, and {method} learns little from so few: "
            "look at the overlays, whether the segmenter finds the regions, or add films."
        )
    elif batch < FEW_CROPS:
        found.append(
            f"A step compares {batch} crops with one another, and {method} learns little from so few; set "
            f"pretraining.batch_size to {FEW_CROPS} or more."
        )
    if config.mask_same_subject and method in ("swav", "vicreg"):
        found.append(f"pretraining.mask_same_subject does nothing in {method}, which has no negatives.")
    if method == "swav":
        found += _unsafe_swav(config, num_crops)
    return found


def _unsafe_swav(config: PretrainingConfig, num_crops: int) -> list[str]:
    found = []
    if config.num_prototypes > num_crops / 2:
        found.append(
            f"SwAV with {config.num_prototypes} prototypes for {num_crops} crops tends to stay at its first loss; "
            f"set pretraining.num_prototypes to {max(2, num_crops // 10)} or so."
        )
    queued = config.queue_batches * config.batch_size
    if queued > num_crops / 2:
        found.append(
            f"SwAV's queue of {queued} embeddings holds old ones of the very crops of a step, of which there are "
            f"only {num_crops}; set pretraining.queue_batches={num_crops // (4 * config.batch_size)}."
        )
    return found
