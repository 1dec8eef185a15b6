"""SimCLR with multi-crop: pairwise NT-Xent (https://arxiv.org/abs/2002.05709, VISSL's multicrop_simclr).

For an anchor i and each other view p of its crop, with similarities s and temperature t:

    loss(i, p) = -log( e^{s_ip / t} / (e^{s_ip / t} + sum over n of other crops e^{s_in / t}) )
               = softplus( logsumexp over n (s_in / t) - s_ip / t )

averaged over all pairs (i, p). Other views of the crop are never in the denominator. With two views it is
SimCLR's own loss; with more, the forms in use differ, and this is the pairwise one.
Names: R rows (views of crops), D dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def nt_xent(z_RD: Tensor, crop_R: Tensor, real_R: Tensor, temperature: float) -> Tensor:
    """The loss of embeddings of any length; rows of a `crop` are its views, rows not `real` are left out."""
    z_RD = F.normalize(z_RD.float(), dim=1)
    s_RR = z_RD @ z_RD.T / temperature
    same_RR = crop_R[:, None] == crop_R[None, :]
    pair_RR = same_RR & real_R[:, None] & real_R[None, :]
    pair_RR.fill_diagonal_(False)
    others_RR = s_RR.masked_fill(same_RR | ~real_R[None, :], torch.finfo(s_RR.dtype).min)
    loss_RR = F.softplus(others_RR.logsumexp(1, keepdim=True) - s_RR)
    return (loss_RR * pair_RR).sum() / pair_RR.sum().clamp(min=1)


def projection_head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two layers with batch norm between them; thrown away after pretraining."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, outputs),
    )
