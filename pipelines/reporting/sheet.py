"""Films of a store as a person wants to see them: one large, or many as a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines.contact_sheet import (
    AMBER,
    GRAY,
    STAMP,
    Picture,
    paint_outlines,
    stamped,
    tiled,
    write_png,
    write_words,
)
from pipelines.progress import Progress, silent
from pipelines.reporting.overlays import stretch
from storage.care import look
from storage.errors import InputError
from storage.manifest import Store

CELL_WIDTH, CELL_HEIGHT, CAPTION = 260, 320, 34
SHOWN_HEIGHT = 1200


def write_film(path: Path, store: Store, row: Mapping[str, Any]) -> Path:
    """Write a PNG of one film, by its row in the manifest, at most SHOWN_HEIGHT high, with all its masks' outlines."""
    scale = min(1.0, SHOWN_HEIGHT / row["height"])
    size = max(1, round(row["width"] * scale)), max(1, round(row["height"] * scale))
    picture = _drawn(store, row["key"], size, masks=True)
    if row["data_kind"] == "phantom":
        write_words(picture, STAMP, (6, 22), AMBER, 0.6)
    return write_png(path, picture)


def write_sheet(
    path: Path,
    store: Store,
    films: int,
    which: str = "random",
    masks: bool = False,
    seed: int = 0,
    columns: int = 8,
    progress: Progress = silent,
) -> int:
    """Write a PNG contact sheet, one cell per film, in the order of their keys; the number of films on it.

    which: random, or flagged (see `flags`). InputError where no film is to be shown.
    """
    rows = choose(store, films, which, seed)
    if not rows:
        doubt = " whose polarity, side or spacing is in doubt" if which == "flagged" else ""
        raise InputError(f"{store.root} has no films{doubt} to show.")
    cells = []
    for row in rows:
        cells.append(_cell(store, row, masks))
        progress(len(cells), len(rows), "films drawn")
    sheet = tiled(cells, min(columns, len(cells)))
    if any(row["data_kind"] == "phantom" for row in rows):
        sheet = stamped(sheet)
    write_png(path, sheet)
    return len(rows)


def choose(store: Store, films: int, which: str, seed: int) -> list[dict[str, Any]]:
    """Rows of the manifest, ordered by key; the same seed chooses the same films."""
    rows: Sequence[dict[str, Any]] = look.table(store, "manifest").to_pylist()
    if which == "flagged":
        rows = [row for row in rows if flags(row)]
    chosen = np.random.default_rng(seed).permutation(len(rows))[:films]
    return [rows[index] for index in sorted(chosen)]


def flags(row: Mapping[str, Any]) -> list[str]:
    """What is in doubt about a film, in a word each."""
    polarity = row["polarity_flag"] not in (
        None,
        "",
        "inverted",
        "override",
    )  # told by the file, or by a person: nothing in doubt
    return (
        ["polarity?"] * polarity
        + ["no side"] * (not row["laterality"])
        + ["both hands"] * (row["laterality"] == "B" and row["laterality_source"] != "override")
        + ["no spacing"] * (not row["spacing_source"])
    )


def _cell(store: Store, row: Mapping[str, Any], masks: bool) -> Picture:
    scale = min(CELL_WIDTH / row["width"], (CELL_HEIGHT - CAPTION) / row["height"])
    width, height = (max(1, round(row[name] * scale)) for name in ("width", "height"))
    cell = np.zeros((CELL_HEIGHT, CELL_WIDTH, 3), np.uint8)
    left = (CELL_WIDTH - width) // 2
    cell[:height, left : left + width] = _drawn(store, row["key"], (width, height), masks)
    said = [row["laterality"] or "-", row["view"] or "-"]
    write_words(cell, f"{row['key'][:10]} {' '.join(said)}", (4, CELL_HEIGHT - 20), GRAY, 0.42)
    write_words(cell, ", ".join(flags(row)), (4, CELL_HEIGHT - 6), AMBER, 0.4)
    return cell


def _drawn(store: Store, key: str, size: tuple[int, int], masks: bool) -> Picture:
    """The film at a size (width, height), HxWx3, its grays stretched between percentiles."""
    gray = stretch(cv2.resize(store.read_image(key), size, interpolation=cv2.INTER_AREA))
    picture = np.ascontiguousarray(np.repeat(gray[..., None], 3, axis=2))
    for mask in store.read_masks(key).values() if masks else ():
        paint_outlines(picture, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    return picture
