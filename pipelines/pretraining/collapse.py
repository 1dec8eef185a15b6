"""Do embeddings still tell crops apart? Figures that fall before a classifier fails, and words for them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

SPREAD_LEAST = 0.05
RANK_LEAST = 2.0
UNTRAINED = 0.99  # of the loss that embeddings give which are all alike
USED_LEAST = 0.05
OWN_LEAST = 0.2
_ROWS = 256  # enough to tell a spread by


@torch.no_grad()
def embedding_spread(z_RD: Tensor) -> dict[str, float]:
    """Two figures of embeddings of any length, by the first 256 of them.

    embedding_std: standard deviation of the normalised embeddings, mean over dimensions, times sqrt(D): 1
    where they cover the sphere, 0 where all are one point.
    effective_rank: exp of the entropy of the normalised singular values of the centred embeddings, 1 to D
    (RankMe, https://arxiv.org/abs/2210.02885).
    """
    z_RD = F.normalize(z_RD[:_ROWS].double(), dim=1)
    z_RD = z_RD - z_RD.mean(0)
    std = z_RD.square().mean(0).sqrt().mean() * z_RD.shape[1] ** 0.5
    square = z_RD.T @ z_RD if z_RD.shape[0] > z_RD.shape[1] else z_RD @ z_RD.T
    share_D = torch.linalg.eigvalsh(square).clamp(min=0).sqrt() + 1e-12
    share_D = share_D / share_D.sum()
    return {"embedding_std": float(std), "effective_rank": float(torch.special.entr(share_D).sum().exp())}


def collapse_warning(method: str, figures: Mapping[str, float], dimensions: int) -> str | None:
    """What is wrong in sentences for whoever trains, or None while the embeddings are alive.

    figures: those of the latest step's loss, of `embedding_spread`, and of `probe` for bones; what is absent
    can't be wrong.
    """
    found = []
    std, rank = figures["embedding_std"], figures["effective_rank"]
    if std < SPREAD_LEAST or rank < RANK_LEAST:
        found.append(
            f"The embeddings are collapsing: different bones get nearly the same numbers (spread {std:.2f} of 1,"
            f" about {rank:.1f} of {dimensions} dimensions in use). Lower pretraining.lr, lengthen"
            " pretraining.warmup_steps or raise pretraining.batch_size."
        )
    if (share := figures.get("loss_of_untrained", 0)) >= UNTRAINED:
        found.append(_stuck(method, share))
    if (used := figures.get("prototypes_used", 1)) < USED_LEAST:
        found.append(
            f"All crops go to a few of SwAV's prototypes ({used:.0%} of them in use). Lower"
            " pretraining.sinkhorn_epsilon, raise pretraining.frozen_epochs or lower pretraining.num_prototypes."
        )
    if (own := figures.get("same_crop_nearest", 1)) < OWN_LEAST:
        found.append(
            f"SupCon keeps the outcomes apart and nothing else: only {own:.0%} of views lie nearest to a view of"
            " their own crop. Set pretraining.supervised_minority=true or raise pretraining.temperature."
        )
    if figures.get("knn", 1) <= figures.get("chance", 0):
        found.append(
            f"Nearest neighbours tell bones apart no better than guessing ({figures['knn']:.2f}): the encoder has"
            " learnt nothing of them yet. Train longer, or look at the crops."
        )
    return " ".join(found) or None


def _stuck(method: str, share: float) -> str:
    remedy = {
        "swav": "Lower pretraining.sinkhorn_epsilon to 0.03, raise pretraining.frozen_epochs, or lower"
        " pretraining.num_prototypes.",
    }.get(method, "Lower pretraining.temperature, or change pretraining.lr.")
    return f"The loss stays at {share:.0%} of what embeddings give that are all alike: nothing is learnt. {remedy}"
