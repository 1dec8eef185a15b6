"""One rank of three that train a net wide enough for sums in another order to show; a script."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from small_fit import SmallLearner, config
from torch import nn

from pipelines.training.loop import fit, save_weights
from pipelines.training.session import DistributedSession

folder, rank, stop_at = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{sys.argv[4]}", rank=rank, world_size=3)
asked = [0]


def stop_requested() -> bool:
    """Rank 2 alone knows of the stop, at one step."""
    asked[0] += 1
    return rank == 2 and asked[0] == stop_at


session = DistributedSession(rank, 3, "cpu", lambda metrics: None, stop_requested)
learner = SmallLearner(plain=True)
learner.model = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 1)
)
for parameter in learner.model.parameters():
    torch.manual_seed(parameter.numel())
    nn.init.normal_(parameter, std=0.1)
result = fit(learner, config(batch_size=6, ema=0.0), session, folder, "000001")
print(result.steps, result.stopped)
if rank == 0 and not result.stopped:
    save_weights(learner.model, folder / "model.safetensors")
dist.destroy_process_group()
