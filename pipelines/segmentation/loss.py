"""The optimal-transport loss between the model's samples and the annotators' masks.

    loss = sum_ij T*_ij C_ij + lambda KL(sum_j T*_ij || alpha_i) + presence + identity + coarse

C is the IoU distance of soft predictions, T* the exact plan under the cap gamma (transport.py; no gradient
passes through it), alpha the samples' weights by the router: Hwang, Lee and Yoon, equation 8.
The last three aren't in the paper; without them the bones get their names late, and the mixture doesn't learn
how sure it is at an edge. Presence and identity are the two parts of a cross-entropy between the mean mask and
the mean prediction: bone or not, and which bone given that it is one. Coarse is the same, read off the U-Net's
coarser levels (deep supervision, https://arxiv.org/abs/1409.5185), in training only.

Names: B films, N samples, M masks, C classes, P pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.segmentation.experts import SampledLogits
from pipelines.segmentation.transport import transport_plan

SMOOTH_PX = 1.0  # added to intersection and union: a class absent from both costs nothing
SMALLEST = 1e-6  # probability below which a logarithm is cut off


class LossParts(NamedTuple):
    """Terms of the loss per film, each (B,)."""

    transport_B: Tensor
    router_B: Tensor
    presence_B: Tensor
    identity_B: Tensor
    coarse_B: Tensor


def mixture_loss(output: SampledLogits, masks_BMHW: Tensor, beta_BM: Tensor, gamma: float) -> LossParts:
    """All terms; masks: class indices at the logits' size, beta: their weights, 0 for padding."""
    with torch.autocast(output.logits_BNCHW.device.type, enabled=False):
        probability_BNCP = output.logits_BNCHW.float().softmax(2).flatten(3)
        num_classes = probability_BNCP.shape[2]
        onehot_BMCP = F.one_hot(masks_BMHW.flatten(2).long(), num_classes).transpose(2, 3).float()
        cost_BNM = iou_cost(probability_BNCP, onehot_BMCP)
        plan_BNM = solve(cost_BNM, beta_BM, gamma)
        alpha_BN = output.alpha_BN
        mean_BCP = torch.einsum("bn,bncp->bcp", alpha_BN, probability_BNCP)
        consensus_BCP = torch.einsum("bm,bmcp->bcp", beta_BM, onehot_BMCP)
        return LossParts(
            transport_B=(plan_BNM * cost_BNM).sum((1, 2)),
            router_B=router_loss(plan_BNM.sum(2), alpha_BN),
            presence_B=presence_loss(mean_BCP, consensus_BCP),
            identity_B=identity_loss(mean_BCP, consensus_BCP),
            coarse_B=coarse_loss(
                output.coarse, consensus_BCP.view(*consensus_BCP.shape[:2], *masks_BMHW.shape[2:])
            ),
        )


def coarse_loss(coarse: tuple[Tensor, ...], consensus_BCHW: Tensor) -> Tensor:
    """Presence and identity at the coarse levels against the share of each class in a pixel; mean over levels."""
    loss_B = torch.zeros(len(consensus_BCHW), device=consensus_BCHW.device)
    for logits_BCHW in coarse:
        height, width = logits_BCHW.shape[2:]
        share_BCP = F.adaptive_avg_pool2d(consensus_BCHW, (height, width)).flatten(2)
        mean_BCP = logits_BCHW.float().softmax(1).flatten(2)
        loss_B = loss_B + presence_loss(mean_BCP, share_BCP) + identity_loss(mean_BCP, share_BCP)
    return loss_B / max(1, len(coarse))


def presence_loss(mean_BCP: Tensor, consensus_BCP: Tensor) -> Tensor:
    """Cross-entropy of bone or not, mean over all pixels, per film."""
    mean_B2P = torch.stack([mean_BCP[:, 0], mean_BCP[:, 1:].sum(1)], 1)
    consensus_B2P = torch.stack([consensus_BCP[:, 0], consensus_BCP[:, 1:].sum(1)], 1)
    return -(consensus_B2P * mean_B2P.clamp_min(SMALLEST).log()).sum(1).mean(1)


def identity_loss(mean_BCP: Tensor, consensus_BCP: Tensor) -> Tensor:
    """Cross-entropy of which bone it is, given that it is one, mean over the masks' bone pixels, per film."""
    bone_BCP = mean_BCP[:, 1:].clamp_min(SMALLEST)
    log_share_BCP = bone_BCP.log() - bone_BCP.sum(1, keepdim=True).log()
    consensus_BCP = consensus_BCP[:, 1:]
    return -(consensus_BCP * log_share_BCP).sum((1, 2)) / consensus_BCP.sum((1, 2)).clamp_min(1)


def iou_cost(probability_BNCP: Tensor, onehot_BMCP: Tensor) -> Tensor:
    """1 - soft IoU of every sample with every mask, mean over the classes but background: (B, N, M).

    IoU = (I + 1) / (U + 1) with I = sum_p s y and U = sum_p s + sum_p y - I, as MoSE has it.
    """
    sample_BCNP = probability_BNCP[:, :, 1:].transpose(1, 2)
    mask_BCMP = onehot_BMCP[:, :, 1:].transpose(1, 2)
    shared_BCNM = sample_BCNP @ mask_BCMP.transpose(2, 3)
    both_BCNM = sample_BCNP.sum(3)[..., None] + mask_BCMP.sum(3)[:, :, None] - shared_BCNM
    return 1 - ((shared_BCNM + SMOOTH_PX) / (both_BCNM + SMOOTH_PX)).mean(1)


def solve(cost_BNM: Tensor, beta_BM: Tensor, gamma: float) -> Tensor:
    """The exact plan of these costs, without gradient, in float64 on the CPU and back."""
    plan_BNM = transport_plan(
        cost_BNM.detach().double().cpu().numpy(), beta_BM.double().cpu().numpy().astype(np.float64), gamma
    )
    return torch.from_numpy(plan_BNM).to(cost_BNM)


def router_loss(carried_BN: Tensor, alpha_BN: Tensor) -> Tensor:
    """KL(carried || alpha) per film: the share that each sample carries in the plan teaches the router."""
    log_ratio_BN = carried_BN.clamp_min(SMALLEST).log() - alpha_BN.clamp_min(SMALLEST).log()
    return (carried_BN * log_ratio_BN).sum(1)


def anneal(step: int, until: int, start: float) -> float:
    """The cap gamma at an update: from `start` in a straight line to 1 at the update number `until`."""
    return 1.0 if step >= until else start + (1 - start) * step / until
