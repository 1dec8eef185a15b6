"""Self-supervised pretraining on the region crops of subjects without outcome."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held, opened_store, segmentation_id
from jobs.run_dir import StageFolder
from jobs.training import run_training
from pipelines.progress import Progress


def check(settings: Settings) -> None:
    """There is a store, and this run has segmented it."""
    from pipelines.segmentation.stored import open_segmentation

    open_segmentation(opened_store(settings).root, segmentation_id(Path(str(settings.out))))


def main(settings: Settings) -> int:
    """`radmill pretrain store=DIR out=DIR method=simclr`."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("pretrain", out, store):
        pretrain(Flow(out, settings), store)
    return 0


def pretrain(flow: Flow, store_root: Path) -> StageFolder:
    """OUT/pretrain/model.safetensors: the encoder."""
    from storage.manifest import Store

    settings, store = flow.settings, Store.open(store_root)
    model_id = segmentation_id(flow.out)

    def action(folder: Path, progress: Progress) -> str:
        inputs = {"store": str(store.root), "segmentation": model_id}
        metrics = run_training("pretrain", settings, folder, progress, **inputs)
        if not metrics:
            return "an encoder as it was initialised, a control"
        return f"{metrics['crops']:,.0f} crops, {metrics['steps']:,.0f} steps, loss {metrics['loss']:.3f}"

    inputs = {"store": store.fingerprint(), "segmentation": model_id}
    return flow.stage("pretrain", sections=("pretraining",), inputs=inputs, action=action)
