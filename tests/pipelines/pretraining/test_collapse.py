"""Figures of collapse at the ends of their scales, and the words."""

from __future__ import annotations

import pytest
import torch

from pipelines.pretraining.collapse import collapse_warning, embedding_spread

ALIVE = {"embedding_std": 0.9, "effective_rank": 12.0, "knn": 0.8, "chance": 0.14, "loss_of_untrained": 0.5}
ALIVE |= {"prototypes_used": 0.8, "same_crop_nearest": 0.9}


def test_embeddings_that_cover_the_sphere_and_ones_that_are_a_point() -> None:
    z_RD = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    spread = embedding_spread(z_RD)
    assert spread["embedding_std"] == pytest.approx(1, abs=0.05)
    assert spread["effective_rank"] == pytest.approx(16, abs=0.2)
    assert collapse_warning("simclr", spread, 16) is None
    point = embedding_spread(torch.ones(100, 16) + 1e-6 * z_RD[:100])
    assert point["embedding_std"] < 1e-4


@pytest.mark.parametrize("shape", [(40, 16), (16, 40)])
def test_the_rank_is_that_of_the_singular_values(shape: tuple[int, int]) -> None:
    z_RD = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit_RD = torch.nn.functional.normalize(z_RD, dim=1)
    share = torch.linalg.svdvals(unit_RD - unit_RD.mean(0))
    share = share[share > 1e-9] / share.sum()
    expected = (-share * share.log()).sum().exp()
    assert embedding_spread(z_RD)["effective_rank"] == pytest.approx(float(expected), rel=1e-6)


def test_a_line_has_rank_one_and_is_said_to_collapse() -> None:
    direction = torch.randn(16, generator=torch.Generator().manual_seed(1))
    spread = embedding_spread(torch.linspace(-1, 1, 50)[:, None] * direction)
    assert spread["effective_rank"] == pytest.approx(1, abs=1e-4)
    assert collapse_warning("simclr", {"embedding_std": 0.04, "effective_rank": 1.0}, 16) == (
        "The embeddings are collapsing: different bones get nearly the same numbers (spread 0.04 of 1,"
        " about 1.0 of 16 dimensions in use). Lower pretraining.lr, lengthen"
        " pretraining.warmup_steps or raise pretraining.batch_size."
    )


@pytest.mark.parametrize(
    ("method", "figures", "sentence"),
    [
        ("simclr", {}, None),
        (
            "swav",
            {"loss_of_untrained": 0.999},
            "The loss stays at 100% of what embeddings give that are all alike: nothing is learnt. Lower"
            " pretraining.sinkhorn_epsilon to 0.03, raise pretraining.frozen_epochs, or lower"
            " pretraining.num_prototypes.",
        ),
        (
            "simclr",
            {"loss_of_untrained": 0.995},
            "The loss stays at 100% of what embeddings give that are all alike: nothing is learnt. Lower"
            " pretraining.temperature, or change pretraining.lr.",
        ),
        (
            "swav",
            {"prototypes_used": 0.01},
            "All crops go to a few of SwAV's prototypes (1% of them in use). Lower"
            " pretraining.sinkhorn_epsilon, raise pretraining.frozen_epochs or lower pretraining.num_prototypes.",
        ),
        (
            "supcon",
            {"same_crop_nearest": 0.1},
            "SupCon keeps the outcomes apart and nothing else: only 10% of views lie nearest to a view of"
            " their own crop. Set pretraining.supervised_minority=true or raise pretraining.temperature.",
        ),
        (
            "vicreg",
            {"knn": 0.14},
            "Nearest neighbours tell bones apart no better than guessing (0.14): the encoder has"
            " learnt nothing of them yet. Train longer, or look at the crops.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(method: str, figures: dict[str, float], sentence: str | None) -> None:
    assert collapse_warning(method, ALIVE | figures, 128) == sentence
