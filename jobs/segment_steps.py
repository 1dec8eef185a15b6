"""The stage segment as steps of a submitted run: prepare, parts[W], assemble (pipelines/segmentation/segment.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import segment
from jobs.flow import Begun
from jobs.work import Work

if TYPE_CHECKING:
    from pipelines.segmentation.segment import SegmentTask


def prepare(work: Work) -> Begun:
    """Ask the question, and make room."""
    from pipelines.segmentation.segment import prepare

    begun = segment.begin(work.flow, work.store, work.segmenter)
    if not begun.skipped:
        prepare(_task(work))
    return begun


def parts(work: Work) -> str:
    """Segment this task's films."""
    from pipelines.segmentation.segment import write_parts

    write_parts(_task(work), work.index, work.width, work.progress)
    return "segmented"


def missing_parts(work: Work) -> list[int]:
    """Tasks of whose parts one is not there."""
    from pipelines.segmentation.segment import missing_parts

    return sorted({place % work.width for place in missing_parts(_task(work))})


def assemble(work: Work) -> str:
    """Make whole parts the segmentation."""
    from pipelines.segmentation.segment import assemble

    folder = work.out / "segment"
    return segment.record_segmentation(folder, assemble(_task(work)), work.segmenter)


def _task(work: Work) -> SegmentTask:
    from pipelines.segmentation.segment import SegmentTask
    from storage.manifest import Store

    return SegmentTask(
        store=Store.open(work.store),
        model_folder=work.segmenter,
        study=work.settings.study,
        config=work.settings.segmentation,
    )
