"""Rows gathered over ranks: the gradients of embeddings and of an encoder's weights equal those of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[3]

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
loss = nt_xent(gather_rows(z_RD), gather_rows(ids), 0.2)
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
