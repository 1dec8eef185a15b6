"""SwAV (https://arxiv.org/abs/2006.09882): a view predicts the cluster assignments of the crop's global views.

With prototypes C (rows of length 1, no bias) and scores s = C z of unit embeddings z, for each global view i:

    q_i  = sinkhorn(s_i), assignments that use all prototypes equally; no gradient
    loss = mean over i of 1 / (V - 1) * sum over v != i of mean over crops of -sum_k q_ik log softmax(s_v / t)_k

In a small batch assignments are made together with those of a queue of past embeddings. The queue begins to
fill in a given epoch, is used once full, and lies in buffers, so that a checkpoint holds it. It has the
embeddings of all ranks and is the same on each.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.heads import projection_head
from pipelines.pretraining.method import CropFacts, Method

ITERATIONS = 3


class SwaV(Method):
    """Head of two layers with batch norm between them, prototypes and queue."""

    queue_GQD: Tensor
    num_queued: Tensor

    def __init__(self, num_features: int, config: PretrainingConfig) -> None:
        size = config.projection_size
        super().__init__(projection_head((num_features, config.projection_hidden, size)))
        self.prototypes = nn.Linear(size, config.num_prototypes, bias=False)
        length = config.queue_batches * config.batch_size
        self.register_buffer("queue_GQD", torch.zeros(config.num_global, length, size))
        self.register_buffer("num_queued", torch.zeros((), dtype=torch.int64))
        self._temperature, self._epsilon = config.temperature, config.sinkhorn_epsilon
        self._frozen_epochs, self._queue_from_epoch = config.frozen_epochs, config.queue_from_epoch

    def loss(self, z_VND: Tensor, facts: CropFacts) -> tuple[Tensor, dict[str, float]]:
        z_VND = F.normalize(z_VND, dim=2)
        weight_KD = self._unit_prototypes(facts.epoch)
        scores_VNK = z_VND @ weight_KD.T
        with torch.no_grad():
            num_global = len(self.queue_GQD)
            codes_GNK = self._codes(scores_VNK[:num_global].detach(), weight_KD)
            if facts.epoch >= self._queue_from_epoch:
                self._enqueue(z_VND[:num_global].detach())
        loss = swapped_prediction(scores_VNK, codes_GNK, self._temperature)
        figures = {
            "loss_of_untrained": loss.item() / math.log(len(weight_KD)),
            "prototypes_used": prototypes_used(scores_VNK[:num_global].detach()),
            "queued": float(self.num_queued),
        }
        return loss, figures

    def _unit_prototypes(self, epoch: int) -> Tensor:
        """Prototypes with rows of length 1. Frozen, their gradient is 0 and not None: all ranks wait for one."""
        weight_KD = self.prototypes.weight
        with torch.no_grad():
            weight_KD.copy_(F.normalize(weight_KD, dim=1))
        return weight_KD.detach() + 0 * weight_KD if epoch < self._frozen_epochs else weight_KD

    def _codes(self, scores_GNK: Tensor, weight_KD: Tensor) -> Tensor:
        """Assignments of the global views, each made with its own part of the queue where that is full."""
        length = self.queue_GQD.shape[1]
        if not length or self.num_queued < length:
            return torch.stack([sinkhorn(scores_NK, self._epsilon) for scores_NK in scores_GNK])
        queued_GQK = self.queue_GQD.to(scores_GNK.dtype) @ weight_KD.T
        together = torch.cat((scores_GNK, queued_GQK), dim=1)
        num_crops = scores_GNK.shape[1]
        return torch.stack([sinkhorn(scores_MK, self._epsilon)[:num_crops] for scores_MK in together])

    def _enqueue(self, z_GND: Tensor) -> None:
        """The newest embeddings to the front; as many of the oldest go."""
        length = self.queue_GQD.shape[1]
        self.queue_GQD.copy_(torch.cat((z_GND.to(self.queue_GQD.dtype), self.queue_GQD), dim=1)[:, :length])
        self.num_queued.add_(z_GND.shape[1]).clamp_(max=length)


def sinkhorn(scores_NK: Tensor, epsilon: float) -> Tensor:
    """Assignments NK whose rows sum to 1 and whose columns sum to about N / K (Sinkhorn and Knopp, 1967).

    The largest score is taken off before the exponential: e^{1 / 0.05} is beyond float16, e^{1 / 0.01} beyond
    float32. Below an epsilon of 0.02 rows far from the largest would vanish in float32.
    """
    q_KN = ((scores_NK - scores_NK.max()) / epsilon).exp().T
    num_prototypes, num_rows = q_KN.shape
    tiny = torch.finfo(q_KN.dtype).tiny  # a row or column may have vanished beside the largest
    q_KN = q_KN / q_KN.sum()
    for _ in range(ITERATIONS):
        q_KN = q_KN / (q_KN.sum(1, keepdim=True).clamp(min=tiny) * num_prototypes)
        q_KN = q_KN / (q_KN.sum(0, keepdim=True).clamp(min=tiny) * num_rows)
    return (q_KN * num_rows).T


def swapped_prediction(scores_VNK: Tensor, codes_GNK: Tensor, temperature: float) -> Tensor:
    """The loss of scores, and codes of the first G views."""
    log_p_VNK = F.log_softmax(scores_VNK / temperature, dim=2)
    num_views, num_global = len(scores_VNK), len(codes_GNK)
    entropy_GV = -torch.einsum("gnk,vnk->gv", codes_GNK, log_p_VNK) / scores_VNK.shape[1]
    own = entropy_GV.diagonal().sum()  # of view i with its own code: no swap
    return (entropy_GV.sum() - own) / (num_global * (num_views - 1))


def prototypes_used(scores_GNK: Tensor) -> float:
    """How evenly rows choose their nearest prototype: exp of the choices' entropy over its largest, 0 to 1."""
    num_rows, num_prototypes = scores_GNK.shape[:2].numel(), scores_GNK.shape[2]
    count_K = scores_GNK.argmax(2).flatten().bincount(minlength=num_prototypes).double()
    used = torch.special.entr(count_K / num_rows).sum().exp()
    return float(used) / min(num_rows, num_prototypes)
