"""The training whose cost train_cost.py measures, as one rank of Ray Train or of torchrun."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from bench_crops import simclr

from pipelines.pretraining.config import PretrainingConfig
from pipelines.progress import Progress, silent
from pipelines.training.loop import fit
from pipelines.training.session import DistributedSession, Session

CROPS, SIDE = 512, 64
TRAINING = "training"


def on_ray(context: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """A worker of Ray Train; its thread, and those that it starts, are named so that they are told from Ray's."""
    Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(TRAINING)
    session = DistributedSession(
        context.rank, context.world_size, context.device, context.report, context.stop_requested
    )
    return train(session, Path(arguments["folder"]), arguments["steps"], context.progress)


def train(session: Session, folder: Path, steps: int, progress: Progress = silent) -> dict[str, Any]:
    """SimCLR on noise with two global and four local views; one thread a rank."""
    config = PretrainingConfig(
        backbone="resnet10t",
        steps=steps,
        batch_size=16,
        crop_pixels=SIDE,
        global_size=48,
        local_size=32,
        projection_hidden=256,
        checkpoint_every_steps=100,
        threads=1,
        bf16=False,
    )
    rng = np.random.default_rng(0)
    images_NSS = rng.integers(0, 256, (CROPS, SIDE, SIDE), dtype=np.uint8)
    learner, config = simclr(images_NSS, np.ones_like(images_NSS), config)
    result = fit(learner, config, session, folder, "noise", progress)
    return {"steps": result.steps}


def steady_s(folder: Path, warm: int) -> float:
    """Seconds of the steps after the first `warm`."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return sum(row["step_s"] for row in rows if row["step"] > warm)


if __name__ == "__main__":  # a rank of torchrun
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    here = DistributedSession(rank, world_size, "cpu", lambda metrics: None, lambda: False)
    train(here, Path(sys.argv[1]), int(sys.argv[2]))
    dist.destroy_process_group()
