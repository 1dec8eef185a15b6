"""Losses of one logit: cross entropy, focal (arXiv 1708.02002) and asymmetric (arXiv 2009.14119).

With p = sigmoid(logit), y the outcome and p_m = max(p - clip, 0):

    cross entropy  -y log p - (1 - y) log(1 - p)
    focal          -y (1 - p)^g log p - (1 - y) p^g log(1 - p)
    asymmetric     -y (1 - p)^g+ log p - (1 - y) p_m^g- log(1 - p_m)

The asymmetric loss is the authors' for several labels, which they also use for one: with a softmax its g- would
have no effect. Negatives with p below `clip` get no gradient, so probabilities must be calibrated after it.
Focal and asymmetric loss are on other scales than cross entropy: compare models by metrics, never by loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from storage.errors import check_one_of

LOSSES = ("ce", "focal", "asl")

Loss = Callable[[Tensor, Tensor], Tensor]


def build_loss(
    name: str,
    gamma: float = 2.0,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
) -> Loss:
    """The mean loss of logits N and outcomes N (0 or 1); ConfigError for an unknown name.

    gamma: of focal; the other three are of asl. Exponents are 0 or at least 1.
    """
    check_one_of("loss", name, LOSSES)
    if name == "asl":
        return partial(asymmetric, gamma_positive=gamma_positive, gamma_negative=gamma_negative, clip=clip)
    return partial(focal, gamma=gamma) if name == "focal" else cross_entropy


def cross_entropy(logit_N: Tensor, outcome_N: Tensor) -> Tensor:
    """Mean binary cross entropy."""
    return F.binary_cross_entropy_with_logits(logit_N, outcome_N.to(logit_N.dtype))


def focal(logit_N: Tensor, outcome_N: Tensor, gamma: float) -> Tensor:
    """Mean focal loss without weights of classes: torchvision's own 0.25 would weigh a rare outcome down."""
    loss: Tensor = sigmoid_focal_loss(
        logit_N, outcome_N.to(logit_N.dtype), alpha=-1, gamma=gamma, reduction="mean"
    )
    return loss


def asymmetric(
    logit_N: Tensor, outcome_N: Tensor, gamma_positive: float, gamma_negative: float, clip: float
) -> Tensor:
    """Mean asymmetric loss in logarithms of sigmoids, where timm's and the authors' lose the gradient at p < 1e-8."""
    p_N, not_p_N = logit_N.sigmoid(), (-logit_N).sigmoid()
    shifted_N = (p_N - clip).clamp(min=0)
    log_not_N = torch.log1p(-shifted_N) if clip else F.logsigmoid(-logit_N)
    positive_N = -(not_p_N**gamma_positive) * F.logsigmoid(logit_N)
    negative_N = -(shifted_N**gamma_negative) * log_not_N
    return torch.where(outcome_N > 0, positive_N, negative_N).mean()
