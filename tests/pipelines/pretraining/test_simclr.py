"""NT-Xent against the formula in float64 and against pytorch-metric-learning."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.recipes import resolved
from pipelines.pretraining.simclr import SimClr, nt_xent
from tests.pipelines.pretraining.embeddings import embeddings, facts


def rows(num_crops: int, num_views: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    return embeddings(num_views, num_crops, seed=seed).flatten(0, 1), torch.arange(num_crops).repeat(
        num_views
    )


def textbook(z_RD: Tensor, crop_R: Tensor, temperature: float, subject_R: Tensor | None = None) -> float:
    """The docstring's formula, pair by pair."""
    z = torch.nn.functional.normalize(z_RD, dim=1)
    subject_R = crop_R if subject_R is None else subject_R
    losses = []
    for i in range(len(z)):
        others = sum(
            math.exp(float(z[i] @ z[n]) / temperature) for n in range(len(z)) if subject_R[n] != subject_R[i]
        )
        for p in range(len(z)):
            if p != i and crop_R[p] == crop_R[i]:
                pair = math.exp(float(z[i] @ z[p]) / temperature)
                losses.append(-math.log(pair / (pair + others)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("num_views", [2, 3, 6])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_equals_the_formula(num_views: int, temperature: float) -> None:
    z_RD, crop_R = rows(4, num_views)
    expected = textbook(z_RD, crop_R, temperature)
    assert float(nt_xent(z_RD, crop_R, temperature)) == pytest.approx(expected, rel=1e-10)
    assert float(nt_xent(z_RD.float(), crop_R, temperature)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("num_views", [2, 6])
def test_equals_pytorch_metric_learning_with_its_gradient(num_views: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorch_metric_learning.losses import NTXentLoss
    z_RD, crop_R = rows(5, num_views, seed=1)
    ours, theirs = (z_RD.clone().requires_grad_() for _ in range(2))
    nt_xent(ours, crop_R, 0.1).backward()
    NTXentLoss(temperature=0.1)(theirs, crop_R).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-10, rtol=1e-10)


def test_bones_of_a_subject_can_be_kept_from_being_negatives() -> None:
    z_RD, crop_R = rows(6, 3)
    expected = textbook(z_RD, crop_R, 0.2, crop_R // 2)
    assert float(nt_xent(z_RD, crop_R, 0.2, crop_R // 2)) == pytest.approx(expected, rel=1e-10)
    config = PretrainingConfig(temperature=0.2, mask_same_subject=True)
    method = SimClr(4, resolved(config, 4, 6))
    assert float(method.loss(z_RD.unflatten(0, (3, 6)), facts(6))[0]) == pytest.approx(expected, rel=1e-10)


def test_without_negatives_or_pairs_the_loss_is_zero_and_its_gradient_finite() -> None:
    for crop_R in (torch.zeros(4, dtype=torch.int64), torch.arange(4)):
        z_RD = torch.randn(4, 8, requires_grad=True)
        loss = nt_xent(z_RD, crop_R, 0.1)
        loss.backward()
        assert loss.item() == 0
        assert z_RD.grad is not None and (z_RD.grad == 0).all()


def test_alike_embeddings_give_the_loss_of_the_untrained() -> None:
    config = resolved(PretrainingConfig(), 4, 8)
    _, figures = SimClr(4, config).loss(torch.ones(6, 8, 4), facts(8))
    assert figures["loss_of_untrained"] == pytest.approx(1, abs=1e-6)
