"""Random embeddings of views for tests of losses."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.pretraining.method import UNKNOWN, CropFacts


def embeddings(num_views: int, num_crops: int, size: int = 8, seed: int = 0) -> Tensor:
    """Float64 embeddings VND that vary in length."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_views, num_crops, size, generator=generator, dtype=torch.float64)


def facts(num_crops: int, outcomes: list[int] | None = None, epoch: int = 0) -> CropFacts:
    """Distinct crops, two of a subject."""
    return CropFacts(
        crop_N=torch.arange(num_crops),
        subject_N=torch.arange(num_crops) // 2,
        outcome_N=torch.tensor(outcomes or [UNKNOWN] * num_crops),
        epoch=epoch,
    )
