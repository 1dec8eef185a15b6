"""A training of two ranks, as the loop sets it up with DDP on the CPU: every method takes its steps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

from pipelines.pretraining.config import METHODS

ROOT = Path(__file__).parents[3]

RANK = """
import sys
from pathlib import Path
import torch, torch.distributed as dist
from pipelines.pretraining.backbone import build_backbone
from pipelines.pretraining.config import METHODS
from pipelines.pretraining.learner import PretrainingLearner
from pipelines.pretraining.recipes import resolved
from pipelines.training.loop import fit, save_weights
from pipelines.training.seeding import seed_torch
from pipelines.training.session import DistributedSession
from tests.pipelines.pretraining.test_learner import samples
from tests.pipelines.pretraining.test_pretrain import small

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
for method in METHODS[:-1]:
    # prototypes frozen for an epoch, then free; eleven crops, so the last batch of an epoch holds filling
    config = resolved(
        small(method=method, num_local=2, num_prototypes=4, queue_batches=1, queue_from_epoch=0), 96, 11
    )
    seed_torch(0)
    learner = PretrainingLearner(build_backbone("test_resnet"), samples(11), config)
    session = DistributedSession(rank, 2, "cpu", lambda metrics: None, lambda: False)
    result = fit(learner, config, session, folder / method, "000001")
    assert result.steps == config.steps == 5
    save_weights(learner.model, folder / f"{method}-{rank}.safetensors")
dist.destroy_process_group()
"""


def test_every_method_trains_on_two_ranks(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    failures = [rank.communicate(timeout=240)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(failures)
    for method in METHODS[:-1]:
        first, second = (load_file(tmp_path / f"{method}-{rank}.safetensors") for rank in range(2))
        learnt = [name for name in first if "running" not in name and "tracked" not in name]
        assert all((first[name] == second[name]).all() for name in learnt), method
