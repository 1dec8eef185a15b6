"""SupCon, L_out, with multi-crop (https://arxiv.org/abs/2004.11362, equation 2).

For an anchor i with positives P(i), the other rows of its class:

    loss(i) = -1 / |P(i)| * sum over p in P(i) of log( e^{s_ip / t} / sum over a != i of e^{s_ia / t} )

averaged over the anchors. A crop without outcome is a class of its own, and its views are its positives; so
are, with `supervised_minority`, the crops of the commoner outcome: drawn together, a majority takes the whole
sphere (Supervised Minority, https://arxiv.org/abs/2503.17024).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.heads import projection_head
from pipelines.pretraining.method import UNKNOWN, CropFacts, Method

NEAREST = 0.05  # share of rows in which `alignment` looks for the anchor's class


class SupCon(Method):
    """Head of two layers without batch norm."""

    def __init__(self, num_features: int, config: PretrainingConfig, minority: int | None) -> None:
        """minority: the outcome whose crops alone are drawn together; None draws together both."""
        sizes = (num_features, config.projection_hidden, config.projection_size)
        super().__init__(projection_head(sizes, norm=False))
        self._temperature, self._mask_same_subject = config.temperature, config.mask_same_subject
        self._minority = minority

    def loss(self, z_VND: Tensor, facts: CropFacts) -> tuple[Tensor, dict[str, float]]:
        num_views = len(z_VND)
        class_N = classes(facts.crop_N, facts.outcome_N, self._minority)
        z_RD, class_R = z_VND.flatten(0, 1), class_N.repeat(num_views)
        subject_R = facts.subject_N.repeat(num_views) if self._mask_same_subject else None
        loss = sup_con(z_RD, class_R, self._temperature, subject_R)
        figures = {"loss_of_untrained": loss.item() / math.log(len(z_RD) - 1)} if len(z_RD) > 2 else {}
        if (facts.outcome_N != UNKNOWN).any():
            figures |= alignment(
                z_RD.detach(), facts.crop_N.repeat(num_views), facts.outcome_N.repeat(num_views)
            )
        return loss, figures


def classes(crop_N: Tensor, outcome_N: Tensor, minority: int | None = None) -> Tensor:
    """A class for each crop: the outcome's, or -1 - crop, a class of its own."""
    shared_N = outcome_N != UNKNOWN if minority is None else outcome_N == minority
    return torch.where(shared_N, outcome_N, -1 - crop_N)


def sup_con(z_RD: Tensor, class_R: Tensor, temperature: float, subject_R: Tensor | None = None) -> Tensor:
    """The loss of embeddings of any length; an anchor without positives doesn't count.

    subject: where given, an anchor's denominator leaves out rows of its subject that are of another class.
    """
    z_RD = F.normalize(z_RD, dim=1)
    s_RR = z_RD @ z_RD.T / temperature
    same_RR = class_R[:, None] == class_R[None, :]
    itself_RR = torch.eye(len(z_RD), dtype=torch.bool, device=z_RD.device)
    left_out_RR = itself_RR
    if subject_R is not None:
        left_out_RR = itself_RR | ((subject_R[:, None] == subject_R[None, :]) & ~same_RR)
    denominator_R1 = s_RR.masked_fill(left_out_RR, torch.finfo(s_RR.dtype).min).logsumexp(1, keepdim=True)
    pair_RR = same_RR & ~itself_RR
    num_R = pair_RR.sum(1)
    loss_R = ((denominator_R1 - s_RR) * pair_RR).sum(1) / num_R.clamp(min=1)
    return loss_R.sum() / (num_R > 0).sum().clamp(min=1)


@torch.no_grad()
def alignment(z_RD: Tensor, crop_R: Tensor, outcome_R: Tensor) -> dict[str, float]:
    """Two figures of rows with an outcome, by which a collapse of two classes shows (arXiv 2503.17024).

    same_crop_nearest: share of views whose nearest neighbour is a view of the same crop.
    same_outcome_near: share of the nearest twentieth of rows that has the anchor's outcome, own crop left out.
    """
    known_R = outcome_R != UNKNOWN
    z_RD, crop_R, outcome_R = F.normalize(z_RD[known_R], dim=1), crop_R[known_R], outcome_R[known_R]
    s_RR = (z_RD @ z_RD.T).fill_diagonal_(-torch.inf)
    own_RR = crop_R[:, None] == crop_R[None, :]
    figures = {"same_crop_nearest": float((crop_R[s_RR.argmax(1)] == crop_R).double().mean())}
    others = int((~own_RR).sum(1).min())
    if others:
        near = s_RR.masked_fill(own_RR, -torch.inf).topk(
            min(others, max(1, round(NEAREST * len(z_RD)))), dim=1
        )
        same = outcome_R[near.indices] == outcome_R[:, None]
        figures["same_outcome_near"] = float(same.double().mean())
    return figures
