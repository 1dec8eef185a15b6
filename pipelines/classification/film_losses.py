"""Losses of one logit per film, by name; each per film, so that the caller weighs and averages.

ce: binary cross-entropy. focal: https://arxiv.org/abs/1708.02002, equation 4, without alpha. asl: asymmetric
loss, https://arxiv.org/abs/2009.14119, equation 7: focusing of its own for either class, and negatives whose
probability lies below a margin count nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.classification.supervised_config import SupervisedConfig


def film_loss(config: SupervisedConfig, logit_N: Tensor, outcome_N: Tensor) -> Tensor:
    """Loss of every film, N; outcome_N: 0 or 1, float."""
    if config.loss == "ce":
        return F.binary_cross_entropy_with_logits(logit_N, outcome_N, reduction="none")
    if config.loss == "focal":
        return asymmetric(logit_N, outcome_N, config.focal_gamma, config.focal_gamma, 0.0)
    return asymmetric(logit_N, outcome_N, config.asl_positive, config.asl_negative, config.asl_margin)


def asymmetric(logit_N: Tensor, outcome_N: Tensor, positive: float, negative: float, margin: float) -> Tensor:
    """-(1 - p)^positive log p for positives, -q^negative log(1 - q) for negatives, q = max(p - margin, 0)."""
    p_N = torch.sigmoid(logit_N)
    if margin:
        shifted_N = (p_N - margin).clamp(min=0)
        loss_negative_N = -torch.log1p(-shifted_N)
    else:
        shifted_N, loss_negative_N = p_N, F.softplus(logit_N)
    loss_positive_N = F.softplus(-logit_N)
    return (
        outcome_N * (1 - p_N) ** positive * loss_positive_N
        + (1 - outcome_N) * shifted_N**negative * loss_negative_N
    )
