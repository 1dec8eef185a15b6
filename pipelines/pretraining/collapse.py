"""Do embeddings still tell crops apart? Figures that fall before a classifier fails, and words for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SPREAD_LEAST = 0.05
RANK_LEAST = 2.0


@torch.no_grad()
def embedding_spread(z_RD: Tensor) -> dict[str, float]:
    """Two figures of embeddings of any length.

    embedding_std: standard deviation of the normalised embeddings, mean over dimensions, times sqrt(D): 1
    where they cover the sphere, 0 where all are one point.
    effective_rank: exp of the entropy of the normalised singular values of the centred embeddings, 1 to D
    (RankMe, https://arxiv.org/abs/2210.02885).
    """
    z_RD = F.normalize(z_RD.double(), dim=1)
    z_RD = z_RD - z_RD.mean(0)
    std = z_RD.square().mean(0).sqrt().mean() * z_RD.shape[1] ** 0.5
    share_D = torch.linalg.svdvals(z_RD) + 1e-12
    share_D = share_D / share_D.sum()
    return {"embedding_std": float(std), "effective_rank": float(torch.special.entr(share_D).sum().exp())}


def collapse_warning(spread: dict[str, float], dimensions: int) -> str | None:
    """A sentence for whoever trains, or None while the embeddings are alive."""
    std, rank = spread["embedding_std"], spread["effective_rank"]
    if std >= SPREAD_LEAST and rank >= RANK_LEAST:
        return None
    return (
        f"The embeddings are collapsing: different bones get nearly the same numbers (spread {std:.2f} of 1,"
        f" about {rank:.1f} of {dimensions} dimensions in use). Lower pretraining.lr, lengthen"
        " pretraining.warmup_steps or raise pretraining.batch_size."
    )
