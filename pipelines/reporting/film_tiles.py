"""Films of exams on the page, those read worst first: the film, and beside it where the model looked."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.classification.film_maps import TRUTH, read_maps
from pipelines.classification.film_tables import worst_first
from pipelines.progress import Progress
from pipelines.reporting.collect import Inputs
from pipelines.reporting.config import ReportingConfig
from pipelines.reporting.overlays import Overlay, data_uri, outline, stretch, tinted
from pipelines.reporting.spread import plain
from pipelines.reporting.tiles import SMALL_HEIGHT, SMALL_SHOWN, Tile


def draw_films(
    inputs: Inputs, config: ReportingConfig, shares: dict[str, float], progress: Progress
) -> tuple[list[Tile], list[Tile]]:
    """The first `config.worst` of the tested and new films large, the next ones small; none before classify.

    shares: by key, the share of a film's map on its truth.
    """
    known = inputs.regions["split"].isin(("test", "new")) & inputs.regions["probability"].notna()
    films = worst_first(inputs.regions[known])[: config.worst + SMALL_SHOWN]
    maps = read_maps(inputs.folder) if inputs.folder else {}
    tiles = []
    for position, (_, row) in enumerate(films.iterrows()):
        large = position < config.worst
        height = config.overlay_height if large else SMALL_HEIGHT
        heat_SS = maps.get(row["key"]) if large else None
        tiles.append(_tile(inputs, row, height, heat_SS, shares.get(row["key"])))
        progress(position + 1, len(films), "films drawn")
    return tiles[: config.worst], tiles[config.worst :]


def _tile(
    inputs: Inputs, row: pd.Series, height: int, heat_SS: NDArray[np.uint8] | None, share: float | None
) -> Tile:
    pixels_HW = inputs.store.read_image(row["key"])
    film_height, film_width = pixels_HW.shape
    width = max(1, round(film_width * height / film_height))
    film = stretch(cv2.resize(pixels_HW, (width, height), interpolation=cv2.INTER_AREA))
    truth_HW = inputs.store.read_masks(row["key"]).get(TRUTH)
    reference = ""
    if truth_HW is not None:
        small = cv2.resize((truth_HW > 0).astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
        reference = outline(small > 0)
    heat = "" if heat_SS is None else data_uri(tinted(film, on_film(heat_SS, height, width)))
    numbers = {
        "key": row["key"],
        "outcome": int(row["outcome"]),
        "probability": float(row["probability"]),
        "share": share,
    }
    return Tile(
        overlay=Overlay(
            width=width, height=height, film=data_uri(film), heat=heat, outlines={}, reference=reference
        ),
        numbers=plain(numbers),
    )


def on_film(heat_SS: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """A map on the model's square, 0 to 1, on the film's own frame: the square's middle, without its margins."""
    side = max(height, width)
    square = cv2.resize(heat_SS.astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_LINEAR)
    y, x = (side - height) // 2, (side - width) // 2
    cut: NDArray[np.float32] = square[y : y + height, x : x + width]
    return cut
