"""Label maps, uncertainty and region crops for a whole store."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import existing, held, model_fingerprint, segmentation_id
from jobs.run_dir import StageFolder
from pipelines.progress import Progress
from storage.atomic import write_json


def main(settings: Settings) -> int:
    """`radmill segment store=DIR out=DIR [model=DIR]`; the model is OUT/train-segmenter unless named."""
    store, out = existing(str(settings.store), "store"), Path(str(settings.out))
    model = existing(settings.model or str(out / "train-segmenter"), "model")
    with held("segment", out, store):
        segment(Flow(out, settings), store, model)
    return 0


def segment(flow: Flow, store_root: Path, model: Path) -> StageFolder:
    """STORE/segmentations/<model_id>/; OUT/segment/segmentation.json says which."""
    from storage.manifest import Store

    settings, store = flow.settings, Store.open(store_root)

    def action(folder: Path, progress: Progress) -> str:
        from pipelines.segmentation.segment import segment_store
        from pipelines.segmentation.stored import open_segmentation

        path = segment_store(store, model, settings.study, settings.segmentation, progress)
        record = {"model_id": path.name, "model": str(model.resolve())}
        write_json(folder / "segmentation.json", record)
        regions = open_segmentation(store_root, path.name).regions
        return f"{regions['key'].nunique():,} films, {regions['found'].sum():,} of {len(regions):,} regions found"

    def intact() -> bool:
        return (store_root / "segmentations" / segmentation_id(flow.out) / "index.parquet").is_file()

    inputs = {"store": store.fingerprint(), "model": model_fingerprint(model)}
    return flow.stage("segment", sections=("segmentation",), inputs=inputs, action=action, intact=intact)
