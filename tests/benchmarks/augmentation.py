"""Multi-crop views a second and core: ours in batches, torchvision v2 per image, lightly's collate; same views.

    python tests/benchmarks/augmentation.py [CROPS] [ROUNDS] [peer]

Each view: rotation by 30 degrees, shift by 10 %, flips, brightness and contrast of 50-150 %, a square box with at
least 10 % bone, resized to 224 (2 views) or 96 (4 views). Times are of the processor, on one thread, so that other
work on the machine does not count; ours and theirs take turns, and the medians are compared. peer: lightly's
transforms and collate too, in an environment that has them; lightly knows no masks, so it neither looks for bone
nor blackens what is around it, and does less.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors
from torchvision.transforms import v2

from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.multicrop import draw_views
from pipelines.pretraining.render import render

SIDE = 256
CONFIG = PretrainingConfig()
GLOBAL = (CONFIG.num_global, CONFIG.global_size, (CONFIG.global_scale_min, CONFIG.global_scale_max))
LOCAL = (CONFIG.num_local, CONFIG.local_size, (CONFIG.local_scale_min, CONFIG.local_scale_max))

Bytes = NDArray[np.uint8]


def bones(count: int) -> tuple[Bytes, Bytes]:
    """Textured tilted bars, about a sixth of their squares, and their masks."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for mask in masks:
        tilt = rng.uniform(-20, 20)
        cv2.line(mask, (128 - int(tilt), 8), (128 + int(tilt), 248), 1, 42)
    return images, masks


def ours(images: Bytes, masks: Bytes, epoch: int) -> int:
    """What a loader's thread and the step do for a batch."""
    scales = np.array([GLOBAL[2]] * GLOBAL[0] + [LOCAL[2]] * LOCAL[0], np.float32)
    draws = draw_views(masks, np.arange(len(images)), 0, epoch, scales, CONFIG.min_content)
    crops = torch.from_numpy(images), torch.from_numpy(masks)
    affine, light = torch.from_numpy(draws.affine_NV23), torch.from_numpy(draws.light_NV2)
    first = GLOBAL[0]
    views = [
        render(*crops, affine[:, :first], light[:, :first], GLOBAL[1]),
        render(*crops, affine[:, first:], light[:, first:], LOCAL[1]),
    ]
    return sum(map(len, views))


def torchvision(images: Bytes, masks: Bytes, epoch: int) -> int:
    """The same view by view: v2 on uint8 tensors, its fastest input on a CPU; boxes until one has enough bone."""
    torch.manual_seed(epoch)
    turn = v2.Compose(
        [
            v2.RandomAffine(30, translate=(0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
        ]
    )
    light = v2.Compose([v2.ColorJitter(0.5, 0.5), v2.ToDtype(torch.float32, scale=True)])
    made = []
    for number, size, scale in (GLOBAL, LOCAL):
        box = v2.RandomResizedCrop(size, scale=scale, ratio=(1.0, 1.0), antialias=False)
        for image, mask in zip(images, masks, strict=True):
            whole = tv_tensors.Image(torch.from_numpy(image)[None]), tv_tensors.Mask(torch.from_numpy(mask))
            for _ in range(number):
                turned = turn(*whole)
                seen, bone = box(*turned)
                while bone.float().mean() < CONFIG.min_content:
                    seen, bone = box(*turned)
                made.append(light(seen).as_subclass(torch.Tensor) * bone.as_subclass(torch.Tensor))
    batches = [torch.stack(made[: GLOBAL[0] * len(images)]), torch.stack(made[GLOBAL[0] * len(images) :])]
    return sum(map(len, batches))


def lightly_collate() -> Callable[[Bytes, Bytes, int], int]:
    """The same geometry and light on PIL images by lightly's multi-view transform and collate, without masks."""
    from lightly.data.multi_view_collate import MultiViewCollate
    from lightly.transforms.multi_view_transform import MultiViewTransform
    from PIL import Image

    def view(size: int, scale: tuple[float, float]) -> v2.Compose:
        return v2.Compose(
            [
                v2.RandomAffine(30, translate=(0.1, 0.1), interpolation=v2.InterpolationMode.BILINEAR),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomResizedCrop(size, scale=scale, ratio=(1.0, 1.0)),
                v2.ColorJitter(0.5, 0.5),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    views = [view(size, scale) for number, size, scale in (GLOBAL, LOCAL) for _ in range(number)]
    transform, collate = MultiViewTransform(views), MultiViewCollate()

    def run(images: Bytes, masks: Bytes, epoch: int) -> int:
        torch.manual_seed(epoch)
        made, _, _ = collate([(transform(Image.fromarray(image)), 0, "") for image in images])
        return sum(map(len, made))

    return run


def main(count: int = 32, rounds: int = 5, peer: bool = False) -> dict[str, Any]:
    """Medians over the rounds, after one that warms up."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    images, masks = bones(count)
    ways = {"ours": ours, "torchvision": torchvision} | ({"lightly": lightly_collate()} if peer else {})
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            views = way(images, masks, epoch)
            speeds[name].append(views / (time.process_time() - began))
    medians = {name: statistics.median(values[1:]) for name, values in speeds.items()}
    found: dict[str, Any] = {f"{name}_views_per_core_s": round(value, 1) for name, value in medians.items()}
    return found | {f"times_{name}": round(medians["ours"] / medians[name], 2) for name in list(ways)[1:]}


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    print(json.dumps(main(*numbers, peer="peer" in sys.argv)))
