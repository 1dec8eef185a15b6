"""Optimizers, and which parameters decay."""

from __future__ import annotations

from typing import Any

from timm.optim.lars import Lars
from torch import nn
from torch.optim import AdamW, Optimizer

from pipelines.training.config import TrainingConfig

MOMENTUM = 0.9
TRUST = 0.001  # SwAV's, VISSL's and VICReg's coefficient
TRUST_CLIPPED = 0.02  # apex's and solo-learn's: clipped at the plain rate, 0.001 would hardly ever reach it


def build_optimizer(model: nn.Module, config: TrainingConfig) -> Optimizer:
    """AdamW, or layer-wise adaptive SGD (https://arxiv.org/abs/1708.03888)."""
    groups = parameter_groups(model, config.weight_decay, config.larc_exclude)
    if config.optimizer == "adamw":
        return AdamW(groups, lr=config.lr, fused=True)
    optimizer: Optimizer = Lars(
        groups,
        lr=config.lr,
        momentum=MOMENTUM,
        trust_coeff=TRUST_CLIPPED if config.larc_clip else TRUST,
        trust_clip=config.larc_clip,
    )
    return optimizer


def parameter_groups(model: nn.Module, weight_decay: float, exclude: str = "vectors") -> list[dict[str, Any]]:
    """Matrices and kernels, which decay and whose rate Lars adapts; then biases and norms, which neither.

    exclude: vectors, or nothing: all parameters decay and are adapted, in one group.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if exclude == "nothing":
        return [{"params": trainable, "weight_decay": weight_decay, "always_adapt": True}]
    kernels = [parameter for parameter in trainable if parameter.ndim > 1]
    vectors = [parameter for parameter in trainable if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        # without always_adapt, Lars would leave kernels alone when weight_decay is 0
        {"params": kernels, "weight_decay": weight_decay, "always_adapt": True},
        {"params": vectors, "weight_decay": 0.0, "always_adapt": False},
    ]
    return [group for group in groups if group["params"]]
