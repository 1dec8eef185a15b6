"""What a method of pretraining is: a head on the encoder's features, and a loss of the embeddings.

A loss sees the embeddings of all ranks and knows nothing of ranks or padding. It may be computed in float32 or
float64; the learner never hands it less than float32.
Names: V views, N crops, R = V * N rows with views outermost, D dimensions; views come global ones first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.pretraining.gather import gather_rows

UNKNOWN = -1  # the outcome of a crop whose subject has none, or none that this training may know


@dataclass(frozen=True, kw_only=True)
class CropFacts:
    """What is known of the crops of a step."""

    crop_N: Tensor
    """Which crop it is; a crop may come twice."""
    subject_N: Tensor
    """Whose it is."""
    outcome_N: Tensor
    """1, 0 or UNKNOWN."""
    epoch: int


class Method(nn.Module):
    """A head (features RF to embeddings RD) and a loss; whatever else a loss learns or remembers is in here too."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def loss(self, z_VND: Tensor, facts: CropFacts) -> tuple[Tensor, dict[str, float]]:
        """The scalar to minimise over these embeddings, and figures that tell how it goes."""
        raise NotImplementedError


def gather_views(
    z_RD: Tensor,
    num_views: int,
    crop_n: Tensor,
    subject_n: Tensor,
    outcome_n: Tensor,
    real_n: Tensor,
    epoch: int,
) -> tuple[Tensor, CropFacts]:
    """Embeddings VND of the real crops of all ranks, and their facts.

    n: the places of this rank, equally many on every rank, some of them filling (not real). z_RD holds rows for
    the real ones alone, which come first, or for the first one where none is real.
    """
    size = z_RD.shape[1]
    z_nVD = z_RD.view(num_views, -1, size).transpose(0, 1)
    padded_nVD = F.pad(z_nVD, (0, 0, 0, 0, 0, len(crop_n) - len(z_nVD)))
    all_NC = gather_rows(padded_nVD.flatten(1))
    crop_N, subject_N, outcome_N, real_N = (
        gather_rows(values_n.long()) for values_n in (crop_n, subject_n, outcome_n, real_n)
    )
    keep_N = real_N > 0
    z_VND = all_NC[keep_N].view(-1, num_views, size).transpose(0, 1)
    facts = CropFacts(
        crop_N=crop_N[keep_N], subject_N=subject_N[keep_N], outcome_N=outcome_N[keep_N], epoch=epoch
    )
    return z_VND, facts
