"""NT-Xent against the formula in float64 and against pytorch-metric-learning."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipelines.pretraining.simclr import nt_xent, projection_head

ROOT = Path(__file__).parents[3]


def rows(num_crops: int, num_views: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z_RD = torch.randn(num_crops * num_views, 8, generator=generator)
    return z_RD, torch.arange(num_crops).repeat(num_views)


def textbook(z_RD: Tensor, crop_R: Tensor, temperature: float) -> float:
    """The docstring's formula, pair by pair."""
    z = torch.nn.functional.normalize(z_RD.double(), dim=1)
    losses = []
    for i in range(len(z)):
        others = sum(
            math.exp(float(z[i] @ z[n]) / temperature) for n in range(len(z)) if crop_R[n] != crop_R[i]
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
    loss = nt_xent(z_RD, crop_R, torch.ones(len(z_RD), dtype=torch.bool), temperature)
    assert float(loss) == pytest.approx(textbook(z_RD, crop_R, temperature), rel=1e-5)


@pytest.mark.parametrize("num_views", [2, 6])
def test_equals_pytorch_metric_learning_with_its_gradient(num_views: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorch_metric_learning.losses import NTXentLoss
    z_RD, crop_R = rows(5, num_views, seed=1)
    ours, theirs = (z_RD.clone().requires_grad_() for _ in range(2))
    nt_xent(ours, crop_R, torch.ones(len(z_RD), dtype=torch.bool), 0.1).backward()
    NTXentLoss(temperature=0.1)(theirs, crop_R).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_padding_changes_nothing() -> None:
    z_RD, crop_R = rows(4, 3)
    real_R = torch.ones(len(z_RD), dtype=torch.bool)
    plain = nt_xent(z_RD, crop_R, real_R, 0.1)
    # filling repeats a crop that is already there
    padded = torch.cat((z_RD, torch.randn(5, 8))), torch.cat((crop_R, torch.zeros(5, dtype=torch.int64)))
    assert float(nt_xent(*padded, torch.cat((real_R, real_R.new_zeros(5))), 0.1)) == pytest.approx(
        float(plain)
    )


@pytest.mark.parametrize("real", [True, False])
def test_without_negatives_or_pairs_the_loss_is_zero_and_its_gradient_finite(real: bool) -> None:
    z_RD = torch.randn(4, 8, requires_grad=True)
    loss = nt_xent(z_RD, torch.zeros(4, dtype=torch.int64), torch.full((4,), real), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert z_RD.grad is not None and (z_RD.grad == 0).all()


def test_head_maps_features_to_embeddings() -> None:
    head = projection_head(6, 10, 4)
    assert head(torch.randn(3, 6)).shape == (3, 4)


TWO_RANKS = """
import sys, torch, torch.distributed as dist
from pipelines.pretraining.gather import gather_rows
from pipelines.pretraining.simclr import nt_xent
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
torch.manual_seed(0)
layer = torch.nn.Linear(5, 4, dtype=torch.float32)
views = torch.randn(8, 2, 5)  # 8 crops, 2 views
def loss(part, crop, gather):
    z = layer(part.transpose(0, 1).flatten(0, 1))
    ids = crop.repeat(2)
    return nt_xent(gather(z), gather(ids), gather(torch.ones(len(ids), dtype=torch.bool)), 0.2)
whole = loss(views, torch.arange(8), lambda rows: rows)
expected = torch.autograd.grad(whole, layer.weight)[0]
mine = slice(4 * rank, 4 * rank + 4)
part = loss(views[mine], torch.arange(8)[mine], gather_rows)
got = torch.autograd.grad(part, layer.weight)[0]
dist.all_reduce(got)
torch.testing.assert_close(part, whole)
torch.testing.assert_close(got / 2, expected, rtol=1e-5, atol=1e-6)
dist.destroy_process_group()
"""


def test_two_ranks_of_four_crops_equal_one_of_eight(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_RANKS, str(rank), str(tmp_path / "meet")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors
