"""NT-Xent against the formula in float64 and against pytorch-metric-learning."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

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


# One rank of some: the loss of 8 crops, its gradients by embeddings and by the weights of an encoder. Its group norm,
# unlike batch norm, sees each crop alone, so that the ranks together compute what one computes.
RANK = """
import sys, torch, torch.distributed as dist
from torch import nn
from pipelines.pretraining.gather import gather_rows
from pipelines.pretraining.simclr import nt_xent
rank, world_size, meet, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method="file://" + meet, rank=rank, world_size=world_size)
torch.manual_seed(0)
encoder = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
    nn.Linear(32, 6),
).double()
views = torch.randn(8, 2, 1, 9, 9, dtype=torch.float64)  # 8 crops, 2 views
each = 8 // world_size
mine = slice(each * rank, each * (rank + 1))
z_RD = encoder(views[mine].transpose(0, 1).flatten(0, 1))
z_RD.retain_grad()
ids = torch.arange(8)[mine].repeat(2)
loss = nt_xent(gather_rows(z_RD), gather_rows(ids), gather_rows(torch.ones(len(ids), dtype=torch.bool)), 0.2)
loss.backward()
by_view = z_RD.grad.unflatten(0, (2, each)) / world_size  # as DDP takes the mean over ranks
parts = [torch.empty_like(by_view) for _ in range(world_size)]
dist.all_gather(parts, by_view)
weights = [parameter.grad / world_size for parameter in encoder.parameters()]
for weight in weights:
    dist.all_reduce(weight)
if rank == 0:
    torch.save({"loss": loss.detach(), "embeddings": torch.cat(parts, 1), "weights": weights}, out)
dist.destroy_process_group()
"""


def gathered(place: Path, world_size: int) -> dict[str, Any]:
    """What the ranks computed together."""
    place.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(world_size), str(place / "meet"), str(place / "out")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=300)
        assert rank.returncode == 0, errors
    return dict(torch.load(place / "out", weights_only=True))


def test_two_ranks_of_four_crops_equal_one_of_eight(tmp_path: Path) -> None:
    alone, together = (gathered(tmp_path / str(world_size), world_size) for world_size in (1, 2))
    assert alone["embeddings"].abs().max() > 1e-3 and all(grad.abs().max() > 0 for grad in alone["weights"])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-7)
