"""How the two trainings use a GPU: `make gpu-check`, or `python tests/benchmarks/gpu_check.py [STEPS]` (100).

Phantoms are generated, then the segmenter and SimCLR train in this process with bf16 autocast. Printed for each, over
the steps after the first tenth: images per second, share of the time that waits for data, peak memory of the GPU.
Without a GPU it says so and ends with 0: nothing was checked.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_crops import simclr

from jobs.__main__ import main as radmill
from pipelines.config import StudyConfig
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.crops import square_crop
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.train import train_segmenter
from pipelines.training.loop import fit
from pipelines.training.precision import native_bf16
from pipelines.training.session import LocalSession
from storage.manifest import Store

FILMS, CROP = 48, 256
REGIONS = ["ulna", "radius", *(f"metacarpal{number}" for number in range(1, 6))]


def segmentation(store: Store, folder: Path, steps: int) -> int:
    """Train the segmenter as real films would; returns its batch."""
    config = SegmentationConfig(steps=steps, validate_every=steps, batch_size=16, loader_workers=8)
    study = StudyConfig(name="hand", regions=REGIONS)
    train_segmenter(store, folder, config, study, LocalSession())
    return config.batch_size


def pretraining(store: Store, folder: Path, steps: int) -> int:
    """SimCLR with ResNet-50 and multi-crop on the bones as they were drawn; returns its batch."""
    config = PretrainingConfig(steps=steps, crop_pixels=CROP, loader_workers=4, warmup_steps=1)
    learner, config = simclr(*bones(store), config)
    fit(learner, config, LocalSession(), folder, "phantoms")
    return config.batch_size


def bones(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Squares around every bone of the store's films, by their masks."""
    squares = []
    for key in store.manifest["key"]:
        pixels, masks = store.read_image(key), next(iter(store.read_masks(key).values()))
        for region in range(1, len(REGIONS) + 1):
            rows, columns = np.nonzero(masks == region)
            if len(rows):
                window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
                squares.append(square_crop(pixels[window], masks[window] == region, CROP))
    stacked_N2SS = np.stack(squares)
    return stacked_N2SS[:, 0], stacked_N2SS[:, 1]


def figures(folder: Path, batch: int) -> str:
    """What metrics.jsonl says of the steady steps."""
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    steady = rows[len(rows) // 10 : -1]  # the last step validates
    seconds, waited = (sum(row[name] for row in steady) for name in ("step_s", "wait_s"))
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else float("nan")
    return (
        f"{batch * len(steady) / seconds:8.1f} images per second, {waited / seconds:5.1%} waiting for data, "
        f"{peak:.2f} GiB at most, loss {rows[0]['loss']:.3f} -> {rows[-1]['loss']:.3f}"
    )


def main() -> int:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    if not torch.cuda.is_available():
        print("gpu-check: this machine has no GPU that torch can use; nothing was checked.")
        return 0
    device = torch.device("cuda")
    print(f"gpu-check: {torch.cuda.get_device_name()}, bf16 {'native' if native_bf16(device) else 'absent'}")
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as place:
        raw, root = f"{place}/raw", Path(place, "store")
        words = f"phantoms out={raw} subjects=0 unlabelled={FILMS} height=1024 width=800 annotators=2"
        assert radmill(words.split()) == 0
        assert radmill(f"ingest raw={raw}/films annotations={raw}/annotations store={root}".split()) == 0
        store = Store.open(root)
        for train in (segmentation, pretraining):
            torch.cuda.reset_peak_memory_stats()
            folder = Path(place, train.__name__)
            batch = train(store, folder, steps)
            print(f"{train.__name__:13} {figures(folder, batch)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
