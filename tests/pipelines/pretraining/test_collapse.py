"""Figures of collapse at the ends of their scales, and the words."""

from __future__ import annotations

import pytest
import torch

from pipelines.pretraining.collapse import collapse_warning, embedding_spread


def test_embeddings_that_cover_the_sphere_and_ones_that_are_a_point() -> None:
    z_RD = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    spread = embedding_spread(z_RD)
    assert spread["embedding_std"] == pytest.approx(1, abs=0.02)
    assert spread["effective_rank"] == pytest.approx(16, abs=0.1)
    assert collapse_warning(spread, 16) is None
    point = embedding_spread(torch.ones(100, 16) + 1e-6 * z_RD[:100])
    assert point["embedding_std"] < 1e-4


def test_a_line_has_rank_one_and_is_said_to_collapse() -> None:
    direction = torch.randn(16, generator=torch.Generator().manual_seed(1))
    spread = embedding_spread(torch.linspace(-1, 1, 50)[:, None] * direction)
    assert spread["effective_rank"] == pytest.approx(1, abs=1e-4)
    assert collapse_warning({"embedding_std": 0.04, "effective_rank": 1.0}, 16) == (
        "The embeddings are collapsing: different bones get nearly the same numbers (spread 0.04 of 1,"
        " about 1.0 of 16 dimensions in use). Lower pretraining.lr, lengthen"
        " pretraining.warmup_steps or raise pretraining.batch_size."
    )
