"""VICReg against its formula in float64, with two views and with many."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.recipes import resolved
from pipelines.pretraining.vicreg import VicReg
from tests.pipelines.pretraining.embeddings import embeddings, facts


def variance(z_ND: Tensor) -> float:
    """Equation 1 of the paper, dimension by dimension."""
    num_crops, total = len(z_ND), 0.0
    for column in z_ND.T.tolist():
        mean = sum(column) / num_crops
        var = sum((value - mean) ** 2 for value in column) / (num_crops - 1)
        total += max(0.0, 1 - math.sqrt(var + 1e-4))
    return total / z_ND.shape[1]


def covariance(z_ND: Tensor) -> float:
    """Equations 3 and 4, entry by entry."""
    centred = z_ND - z_ND.mean(0)
    matrix = (centred.T @ centred / (len(z_ND) - 1)).tolist()
    size = len(matrix)
    return sum(matrix[i][j] ** 2 for i in range(size) for j in range(size) if i != j) / size


def invariance(a_ND: Tensor, b_ND: Tensor) -> float:
    return float((a_ND - b_ND).square().mean())


def vicreg(**changes: int) -> VicReg:
    return VicReg(4, resolved(PretrainingConfig(method="vicreg", **changes), 4, 100))


@pytest.mark.parametrize(("num_crops", "size"), [(7, 5), (4, 12)])
def test_two_views_are_the_paper_s_vicreg(num_crops: int, size: int) -> None:
    a_ND, b_ND = embeddings(2, num_crops, size)
    expected = (
        25 * invariance(a_ND, b_ND)
        + 25 * (variance(a_ND) + variance(b_ND)) / 2
        + covariance(a_ND)
        + covariance(b_ND)
    )
    loss, figures = vicreg(num_local=0).loss(torch.stack((a_ND, b_ND)), facts(num_crops))
    assert float(loss) == pytest.approx(expected, rel=1e-10)
    assert 25 * figures["invariance"] + 25 * figures["variance"] + figures["covariance"] == pytest.approx(
        expected
    )


def test_many_views_are_the_formula() -> None:
    z_VND = embeddings(6, 7, 5)
    pairs = [(i, j) for i in (0, 1) for j in range(6) if i != j]
    expected = (
        25 * sum(invariance(z_VND[i], z_VND[j]) for i, j in pairs) / len(pairs)
        + 25 * sum(variance(z_ND) for z_ND in z_VND) / 6
        + 2 * sum(covariance(z_ND) for z_ND in z_VND) / 6
    )
    assert float(vicreg().loss(z_VND, facts(7))[0]) == pytest.approx(expected, rel=1e-10)


def test_a_single_crop_has_a_finite_loss() -> None:
    z_VND = embeddings(6, 1).requires_grad_()
    loss, figures = vicreg().loss(z_VND, facts(1))
    loss.backward()
    assert loss.isfinite() and figures["variance"] == figures["covariance"] == 0
    assert z_VND.grad is not None and z_VND.grad.isfinite().all()


def test_the_expander_is_wider_than_the_encoder_and_ends_without_bias() -> None:
    widths = [layer.out_features for layer in vicreg().head if isinstance(layer, torch.nn.Linear)]
    assert widths == [16, 16, 16]
    assert vicreg().head[-1].bias is None
