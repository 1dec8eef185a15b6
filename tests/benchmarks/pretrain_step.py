"""A pretraining step with 2 + 4 crops: ours, one pass per resolution, against one pass per crop as solo-learn's.

    python tests/benchmarks/pretrain_step.py [BACKBONE] [BATCH] [ROUNDS] [cuda]

All take the same views of the same bones in channels_last, with the same head and optimizer, and step the weights:

    ours       one gray channel, one pass per resolution, bfloat16 where the processor has it
    per_crop   the same, but encoder and head crop by crop, and solo-learn's own loss
    solo_learn per_crop as solo-learn runs: three channels, the only images it knows, and its precision: bfloat16
               on a GPU, float32 on a CPU
    per_resolution_float32, per_crop_float32   the first two in float32, on a CPU alone

On a CPU times are of the processor on one thread, so that other work does not count; on a GPU they are of the wall.
They take turns, and the medians are compared. `views_share` is the share of our step spent in making views.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.heap import keep_freed_memory
from pipelines.pretraining.backbone import num_features
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.learner import MultiCropModel, PretrainingLearner
from pipelines.pretraining.recipes import resolved
from pipelines.pretraining.samples import Samples
from pipelines.training.learner import Batch
from pipelines.training.optimizer import build_optimizer
from pipelines.training.precision import native_bf16

KEPT_MB = 512  # as a training keeps


def build(backbone: str, batch: int, channels: int) -> tuple[PretrainingLearner, PretrainingConfig]:
    """A learner on random bones."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    masks = np.zeros((batch, 256, 256), np.uint8)
    masks[:, 16:240, 100:160] = 1
    samples = Samples(
        images_NSS=rng.integers(0, 256, masks.shape, dtype=np.uint8),
        masks_NSS=masks,
        names=[str(number) for number in range(batch)],
        subject_N=np.arange(batch),
        region_N=np.zeros(batch, np.int64),
        outcome_N=np.full(batch, -1),
    )
    # three plain channels: build_backbone(channels=3) would repeat and normalise the gray one itself
    model = timm.create_model(backbone, in_chans=channels, num_classes=0)
    config = resolved(PretrainingConfig(backbone=backbone, batch_size=batch), num_features(model), batch)
    return PretrainingLearner(model, samples, config), config


def solo_learn_loss(z_RD: Tensor, crop_R: Tensor) -> Tensor:
    """simclr_loss_func of solo-learn 1.0.6: positives summed inside the logarithm, temperature 0.2."""
    z_RD = F.normalize(z_RD, dim=-1)
    sim_RR = torch.exp(torch.einsum("if,jf->ij", z_RD, z_RD) / 0.2)
    same_RR = crop_R[:, None] == crop_R[None, :]
    pos_RR = same_RR.clone().fill_diagonal_(False)
    pos_R = torch.sum(sim_RR * pos_RR, 1)
    neg_R = torch.sum(sim_RR * ~same_RR, 1)
    return -torch.mean(torch.log(pos_R / (pos_R + neg_R)))


@dataclass(frozen=True)
class Way:
    """One way to make a step."""

    learner: PretrainingLearner
    optimizer: torch.optim.Optimizer
    channels: int
    by_crop: bool
    bf16: bool

    def step(self, views: list[Tensor], batch: Batch) -> None:
        """Forward, backward, update."""
        model = self.learner.model
        views = [view.expand(-1, self.channels, -1, -1) for view in views]
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
        with torch.autocast(views[0].device.type, dtype=torch.bfloat16, enabled=self.bf16):
            if self.by_crop:
                loss = crop_by_crop(model, views, batch)
            else:
                self.learner.views = lambda batch: views  # type: ignore[method-assign]
                loss = self.learner.loss(model, batch)[0]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def crop_by_crop(model: nn.Module, views: list[Tensor], batch: Batch) -> Tensor:
    """solo-learn's way: encoder and head for every crop."""
    assert isinstance(model, MultiCropModel)
    count = len(batch["image"])
    crops = [crop for resolution in views for crop in resolution.split(count)]
    z_RD = torch.cat([model.method.head(model.backbone(crop)) for crop in crops])
    with torch.autocast(z_RD.device.type, enabled=False):
        return solo_learn_loss(z_RD.float(), batch["crop"].repeat(len(crops)))


def ways(backbone: str, batch: int, device: torch.device) -> dict[str, Way]:
    """Every way with a network of its own from the same seed."""
    gpu, native = device.type == "cuda", native_bf16(device)
    kinds = {"ours": (1, False, native), "per_crop": (1, True, native), "solo_learn": (3, True, gpu)}
    if native and not gpu:
        kinds |= {"per_resolution_float32": (1, False, False), "per_crop_float32": (1, True, False)}
    made = {}
    for name, (channels, by_crop, bf16) in kinds.items():
        learner, config = build(backbone, batch, channels)
        learner.model.to(device).train()
        made[name] = Way(learner, build_optimizer(learner.model, config), channels, by_crop, bf16)
    return made


def main(backbone: str = "resnet18", batch: int = 8, rounds: int = 3, device: str = "cpu") -> dict[str, Any]:
    """Medians over the rounds, after one that warms up."""
    torch.set_num_threads(1)
    if device == "cpu":
        keep_freed_memory(KEPT_MB)
    times: dict[str, list[float]] = defaultdict(list)

    def clock() -> float:
        if device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    compared = ways(backbone, batch, torch.device(device))
    make_views = build(backbone, batch, 1)[0]
    for epoch in range(rounds + 1):
        began = clock()
        on_cpu = make_views.batch(np.arange(batch), np.ones(batch, np.float32), epoch)
        data = {name: tensor.to(device) for name, tensor in on_cpu.items()}
        views = make_views.views(data)
        times["views"].append(clock() - began)
        for name, way in compared.items():
            began = clock()
            way.step(views, data)
            times[name].append(clock() - began)
    median = {name: statistics.median(values[1:]) for name, values in times.items()}
    ratios = {f"times_{name}": round(median[name] / median["ours"], 2) for name in ("per_crop", "solo_learn")}
    if "per_crop_float32" in median:
        alike = median["per_crop_float32"] / median["per_resolution_float32"]
        ratios["times_per_crop_float32"] = round(alike, 2)
    whole = median["ours"] + median["views"]
    return {
        "backbone": backbone,
        "batch": batch,
        **{f"{name}_s": round(value, 4) for name, value in median.items()},
        **ratios,
        "images_per_s": round(batch / whole, 1),
        "views_share": round(median["views"] / whole, 3),
    }


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "cuda"]
    numbers = [int(word) for word in words if word.isdigit()]
    named = [word for word in words if not word.isdigit()] or ["resnet18"]
    print(json.dumps(main(named[0], *numbers, device="cuda" if "cuda" in sys.argv else "cpu")))
