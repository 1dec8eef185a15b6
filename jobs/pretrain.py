"""Self-supervised pretraining on the region crops of subjects without outcome."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held, opened_store, regions_id, segmentation_id
from jobs.run_dir import StageFolder
from jobs.training import run_training
from pipelines.progress import Progress
from storage.errors import ConfigError


def check(settings: Settings) -> None:
    """There is a store, this run has segmented it, and the method can be had from the command line."""
    from pipelines.segmentation.stored import open_segmentation

    check_method(settings)
    open_segmentation(opened_store(settings).root, segmentation_id(Path(str(settings.out))))


def check_method(settings: Settings) -> None:
    """ConfigError for supcon, to which no job gives outcomes: it would be SimCLR under another name."""
    if settings.pretraining.method == "supcon":
        raise ConfigError(
            "pretraining.method=supcon learns from the outcomes of a fold's training part, once for each fold, and no"
            " job trains an encoder for each fold; use simclr, swav or vicreg, which need no outcomes (for whole"
            " films, supervised.supcon=true)."
        )


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
    model_id = regions_id(settings.pretraining.regions, flow.out)

    def action(folder: Path, progress: Progress) -> str:
        inputs = {"store": str(store.root), "segmentation": model_id}
        metrics = run_training("pretrain", settings, folder, progress, **inputs)
        if not metrics:
            return "an encoder as it was initialised, a control"
        return f"{metrics['crops']:,.0f} crops, {metrics['steps']:,.0f} steps, loss {metrics['loss']:.3f}"

    inputs = {"store": store.fingerprint(), "segmentation": model_id}
    return flow.stage("pretrain", sections=("pretraining",), inputs=inputs, action=action)
