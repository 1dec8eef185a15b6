"""A SimCLR training on crops that lie in memory, for the benchmarks that need no store of them."""

from __future__ import annotations

import numpy as np

from pipelines.pretraining.backbone import build_backbone, num_features
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.learner import PretrainingLearner
from pipelines.pretraining.method import UNKNOWN
from pipelines.pretraining.recipes import resolved
from pipelines.pretraining.samples import Samples
from pipelines.training.seeding import seed_torch

BONES = 7


def simclr(
    images_NSS: np.ndarray, masks_NSS: np.ndarray, config: PretrainingConfig
) -> tuple[PretrainingLearner, PretrainingConfig]:
    """The learner, and the configuration with the method's own values; every seven crops are one subject's."""
    seed_torch(config.seed)
    backbone = build_backbone(config.backbone)
    number_N = np.arange(len(images_NSS))
    samples = Samples(
        images_NSS=images_NSS,
        masks_NSS=masks_NSS,
        names=[str(number) for number in number_N],
        subject_N=number_N // BONES,
        region_N=number_N % BONES,
        outcome_N=np.full(len(number_N), UNKNOWN),
    )
    config = resolved(config, num_features(backbone), len(samples))
    return PretrainingLearner(backbone, samples, config), config
