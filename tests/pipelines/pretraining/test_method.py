"""Embeddings of all ranks: padding leaves no trace, and two ranks of four crops are one of eight."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from pipelines.pretraining.method import gather_views
from tests.pipelines.pretraining.embeddings import embeddings

ROOT = Path(__file__).parents[3]

TWO_RANKS = """
import sys, torch, torch.distributed as dist
from pipelines.pretraining.config import METHODS, PretrainingConfig
from pipelines.pretraining.method import CropFacts, gather_views
from pipelines.pretraining.methods import build_method
from pipelines.pretraining.recipes import resolved

rank = int(sys.argv[1])
V, N, D = 6, 8, 5
z_NVD = torch.randn(N, V, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
crop, outcome = torch.arange(N), torch.tensor([0, 1, -1, 1, 0, 0, -1, 1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)


def build(name):
    torch.manual_seed(1)
    config = PretrainingConfig(
        method=name, projection_size=D, projection_hidden=4, num_prototypes=7, batch_size=N, queue_batches=1,
        queue_from_epoch=0, frozen_epochs=0, mask_same_subject=True,
    )
    return build_method(3, resolved(config, 3, 100)).double()


for name in METHODS[:-1]:
    alone, shared = build(name), build(name)
    for step in range(2):  # the second with the queue
        whole = (z_NVD + step).requires_grad_()
        facts = CropFacts(crop_N=crop, subject_N=crop // 2, outcome_N=outcome, epoch=0)
        expected, _ = alone.loss(whole.transpose(0, 1), facts)
        alone.zero_grad()
        expected.backward()

        # five places for four crops: the last is filling, which no embedding stands for
        place = torch.cat((torch.arange(rank, N, 2), torch.tensor([0])))
        mine = (z_NVD[place[:-1]] + step).requires_grad_()
        z_VND, known = gather_views(
            mine.transpose(0, 1).reshape(V * 4, D), V, crop_n=crop[place], subject_n=(crop // 2)[place],
            outcome_n=outcome[place], real_n=torch.tensor([True] * 4 + [False]), epoch=0,
        )
        loss, _ = shared.loss(z_VND, known)
        shared.zero_grad()
        loss.backward()
        close = dict(rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(loss, expected, **close)
        # every rank computed the whole loss: the mean over ranks, as DDP takes it, is the gradient
        torch.testing.assert_close(mine.grad / 2, whole.grad[place[:-1]], **close)
        for ours, theirs in zip(shared.parameters(), alone.parameters(), strict=True):
            if theirs.grad is not None:
                mean = ours.grad.clone()
                dist.all_reduce(mean)
                torch.testing.assert_close(mean / 2, theirs.grad, **close)
        if name == "swav":  # the same rows on both ranks, in the ranks' order
            assert shared.num_queued == N
            theirs = [torch.empty_like(shared.queue_GQD) for _ in range(2)]
            dist.all_gather(theirs, shared.queue_GQD)
            assert torch.equal(*theirs)
dist.destroy_process_group()
"""


def test_two_ranks_of_four_crops_equal_one_of_eight_for_every_method(tmp_path: Path) -> None:
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


def test_filling_leaves_no_trace() -> None:
    z_VND = embeddings(3, 2)
    crop_n = torch.tensor([7, 9, 7, 7])
    real_n = torch.tensor([True, True, False, False])
    found, facts = gather_views(z_VND.flatten(0, 1), 3, crop_n, crop_n + 10, crop_n % 2, real_n, epoch=4)
    assert torch.equal(found, z_VND)
    assert (facts.crop_N.tolist(), facts.subject_N.tolist(), facts.outcome_N.tolist()) == (
        [7, 9],
        [17, 19],
        [1, 1],
    )
    assert facts.epoch == 4
