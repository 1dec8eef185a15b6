"""Train the segmentation model on the store's masks; by default only subjects without outcome are used."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held, opened_store
from jobs.run_dir import StageFolder
from jobs.training import asked_workers, run_training
from pipelines.progress import Progress


def check(settings: Settings) -> None:
    """There is a store."""
    opened_store(settings)


def main(settings: Settings) -> int:
    """`radmill train-segmenter store=DIR out=DIR`."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("train-segmenter", out):
        train_segmenter(Flow(out, settings), store)
    return 0


def train_segmenter(flow: Flow, store_root: Path) -> StageFolder:
    """OUT/train-segmenter/model.safetensors, chosen on validation GED and Dice."""
    from storage.manifest import Store

    settings, store = flow.settings, Store.open(store_root)

    def action(folder: Path, progress: Progress) -> str:
        metrics = run_training("train-segmenter", settings, folder, progress, store=str(store.root))
        return f"validation Dice {metrics['dice']:.3f}, GED {metrics['ged']:.3f}"

    inputs = {"store": store.fingerprint()} | asked_workers(settings)
    return flow.stage("train-segmenter", sections=("segmentation",), inputs=inputs, action=action)
