"""VICReg with multi-crop (https://arxiv.org/abs/2105.04906; the multi-crop form is VICRegL's global term).

Of embeddings z as they are, not brought to length 1:

    loss = 25 * invariance + 25 * variance + 1 * covariance
    invariance: mean over pairs of a global view and any other of the mean squared difference
    variance:   mean over views and dimensions of relu(1 - sqrt(var + 0.0001))
    covariance: 2 * mean over views of (sum of squared off-diagonal covariances / D)

With two views this is VICReg, whose covariance term is the sum over both. VICRegL's code takes their mean, so
its covariances weigh half as much.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.heads import projection_head
from pipelines.pretraining.method import CropFacts, Method

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
_SMALL = 1e-4


class VicReg(Method):
    """Expander of three layers, wider than the encoder, the last one without bias."""

    def __init__(self, num_features: int, config: PretrainingConfig) -> None:
        hidden = config.projection_hidden
        sizes = (num_features, hidden, hidden, config.projection_size)
        super().__init__(projection_head(sizes, last_bias=False))
        self._num_global = config.num_global

    def loss(self, z_VND: Tensor, facts: CropFacts) -> tuple[Tensor, dict[str, float]]:
        invariance, variance, covariance = vicreg_terms(z_VND, self._num_global)
        loss = INVARIANCE * invariance + VARIANCE * variance + COVARIANCE * covariance
        return loss, {
            "invariance": invariance.item(),
            "variance": variance.item(),
            "covariance": covariance.item(),
        }


def vicreg_terms(z_VND: Tensor, num_global: int) -> tuple[Tensor, Tensor, Tensor]:
    """Invariance, variance and covariance; the first `num_global` views are the global ones.

    A single crop has neither variance nor covariance: both terms are 0.
    """
    num_views, num_crops, size = z_VND.shape
    pairs = [(i, j) for i in range(num_global) for j in range(num_views) if i != j]
    invariance = torch.stack([F.mse_loss(z_VND[i], z_VND[j]) for i, j in pairs]).mean()
    if num_crops < 2:
        return invariance, invariance.new_zeros(()), invariance.new_zeros(())
    centred_VND = z_VND - z_VND.mean(1, keepdim=True)
    var_VD = centred_VND.square().sum(1) / (num_crops - 1)
    variance = F.relu(1 - (var_VD + _SMALL).sqrt()).mean()
    # the squares of a covariance sum to those of the crops' scalar products: N x N instead of D x D
    product_VNN = centred_VND @ centred_VND.transpose(1, 2) / (num_crops - 1)
    off_diagonal_V = product_VNN.square().sum((1, 2)) - var_VD.square().sum(1)
    return invariance, variance, 2 * (off_diagonal_V / size).mean()
