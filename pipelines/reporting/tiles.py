"""The films on the page: the least sure ones large, with their doubt beside them; the others small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.progress import Progress
from pipelines.reporting.collect import Inputs
from pipelines.reporting.config import ReportingConfig
from pipelines.reporting.overlays import Overlay, Placement, draw_overlay
from pipelines.reporting.quality import worst_first
from pipelines.reporting.spread import plain

SMALL_SHOWN = 240
SMALL_HEIGHT = 150


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One film as drawn, and its numbers as they stand in metrics.json."""

    overlay: Overlay
    numbers: dict[str, Any]


def draw_tiles(inputs: Inputs, config: ReportingConfig, progress: Progress) -> tuple[list[Tile], list[Tile]]:
    """The first `config.worst` films of `worst_first` large, the next ones small; none before segment."""
    if inputs.segmentation is None:
        return [], []
    films = worst_first(inputs)[: config.worst + SMALL_SHOWN]
    tiles = []
    for position, (_, row) in enumerate(films.iterrows()):
        large = position < config.worst
        tiles.append(_tile(inputs, row, config.overlay_height if large else SMALL_HEIGHT, heat=large))
        progress(position + 1, len(films), "films drawn")
    return tiles[: config.worst], tiles[config.worst :]


def _tile(inputs: Inputs, row: pd.Series[Any], height: int, heat: bool) -> Tile:
    assert inputs.segmentation is not None
    annotator = row["annotator"] or ""
    overlay = draw_overlay(
        inputs.store.read_image(row["key"]),
        inputs.segmentation.label_map(int(row["row"])),
        inputs.segmentation.entropy(int(row["row"])),
        Placement(scale=row["scale"], offset_y=row["offset_y"], offset_x=row["offset_x"]),
        height,
        inputs.store.read_masks(row["key"])[annotator] if annotator else None,
        heat,
    )
    numbers = {
        "key": row["key"],
        "regions_found": int(row["regions_found"]),
        "entropy": row["entropy"],
        "reference": annotator,
        "dice": row["dice"],
        "trained": bool(row["trained"]),
    }
    return Tile(overlay=overlay, numbers=plain(numbers))
