"""SimCLR with multi-crop: pairwise NT-Xent (https://arxiv.org/abs/2002.05709, VISSL's multicrop_simclr).

For an anchor i and each other view p of its crop, with similarities s and temperature t:

    loss(i, p) = -log( e^{s_ip / t} / (e^{s_ip / t} + sum over n of other crops e^{s_in / t}) )
               = softplus( logsumexp over n (s_in / t) - s_ip / t )

averaged over all pairs (i, p). Other views of the crop are never in the denominator. With two views it is
SimCLR's own loss; with more, the forms in use differ, and this is the pairwise one.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.heads import projection_head
from pipelines.pretraining.method import CropFacts, Method


class SimClr(Method):
    """Head of two layers with batch norm between them."""

    def __init__(self, num_features: int, config: PretrainingConfig) -> None:
        super().__init__(projection_head((num_features, config.projection_hidden, config.projection_size)))
        self._temperature, self._mask_same_subject = config.temperature, config.mask_same_subject

    def loss(self, z_VND: Tensor, facts: CropFacts) -> tuple[Tensor, dict[str, float]]:
        num_views, num_crops = z_VND.shape[:2]
        subject_R = facts.subject_N.repeat(num_views) if self._mask_same_subject else None
        loss = nt_xent(z_VND.flatten(0, 1), facts.crop_N.repeat(num_views), self._temperature, subject_R)
        untrained = math.log(1 + num_views * (num_crops - 1))  # every similarity the same
        return loss, {"loss_of_untrained": loss.item() / untrained} if untrained else {}


def nt_xent(z_RD: Tensor, crop_R: Tensor, temperature: float, subject_R: Tensor | None = None) -> Tensor:
    """The loss of embeddings of any length; rows of a `crop` are its views.

    subject: where given, other crops of an anchor's subject are left out of its denominator.
    """
    z_RD = F.normalize(z_RD, dim=1)
    s_RR = z_RD @ z_RD.T / temperature
    same_RR = crop_R[:, None] == crop_R[None, :]
    no_negative_RR = same_RR if subject_R is None else same_RR | (subject_R[:, None] == subject_R[None, :])
    others_RR = s_RR.masked_fill(no_negative_RR, torch.finfo(s_RR.dtype).min)
    loss_RR = F.softplus(others_RR.logsumexp(1, keepdim=True) - s_RR)
    pair_RR = same_RR & ~torch.eye(len(z_RD), dtype=torch.bool, device=z_RD.device)
    return (loss_RR * pair_RR).sum() / pair_RR.sum().clamp(min=1)
