"""Label maps, uncertainty and region crops for a whole store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.config import Settings
from jobs.flow import Begun, Flow
from jobs.folders import (
    check_model,
    check_stage_model,
    existing,
    held,
    model_fingerprint,
    opened_store,
    segmentation_id,
)
from jobs.run_dir import StageFolder
from pipelines.progress import Progress
from pipelines.segmentation.described import check_regions
from storage.atomic import write_json
from storage.wording import counted

if TYPE_CHECKING:
    from storage.manifest import Store


def check(settings: Settings) -> None:
    """There are a store and a segmenter of this study."""
    opened_store(settings)
    if settings.model is not None:
        check_named_segmenter(settings.model, "model", settings)
        return
    own = check_stage_model(Path(str(settings.out)), "train-segmenter", ", or give model=DIR")
    check_regions(own, settings.study)


def check_named_segmenter(path: str, key: str, settings: Settings) -> None:
    """Raise InputError or ConfigError unless the folder that the user named holds a segmenter of the study."""
    check_model(folder := existing(path, key), key, "train-segmenter")
    check_regions(folder, settings.study)


def main(settings: Settings) -> int:
    """`radmill segment store=DIR out=DIR [model=DIR]`; the model is OUT/train-segmenter unless named."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    model = Path(settings.model or out / "train-segmenter")
    with held("segment", out, store):
        segment(Flow(out, settings), store, model)
    return 0


def segment(flow: Flow, store_root: Path, model: Path) -> StageFolder:
    """STORE/segmentations/<model_id>/; OUT/segment/segmentation.json says which."""
    from storage.manifest import Store

    store = Store.open(store_root)

    def action(folder: Path, progress: Progress) -> str:
        from pipelines.segmentation.segment import segment_store

        path = segment_store(store, model, flow.settings.study, flow.settings.segmentation, progress)
        return record_segmentation(folder, path, model)

    inputs, intact = _inputs(store, model), _intact(flow, store_root)
    return flow.stage("segment", sections=("segmentation",), inputs=inputs, action=action, intact=intact)


def begin(flow: Flow, store_root: Path, model: Path) -> Begun:
    """The stage's question alone, for steps in other processes (jobs/segment_steps.py)."""
    from storage.manifest import Store

    inputs, intact = _inputs(Store.open(store_root), model), _intact(flow, store_root)
    return flow.begin("segment", sections=("segmentation",), inputs=inputs, intact=intact)


def record_segmentation(folder: Path, segmentation: Path, model: Path) -> str:
    """Write down which segmentation the stage has made; returns the line that sums it up."""
    from pipelines.segmentation.stored import open_segmentation

    write_json(folder / "segmentation.json", {"model_id": segmentation.name, "model": str(model.resolve())})
    regions = open_segmentation(segmentation.parents[1], segmentation.name).regions
    films, found = regions["key"].nunique(), regions["found"].sum()
    return f"{counted(films, 'film')}, {found:,} of {counted(len(regions), 'region')} found"


def _inputs(store: Store, model: Path) -> dict[str, str]:
    return {"store": store.fingerprint(), "model": model_fingerprint(model)}


def _intact(flow: Flow, store_root: Path) -> Callable[[], bool]:
    return lambda: (store_root / "segmentations" / segmentation_id(flow.out) / "index.parquet").is_file()
