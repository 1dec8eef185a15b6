"""The hand paper's figure 3: a film with its bones, and the views that two kinds of multi-crop cut from each.

The film is the first, by key, on which every region was found. Both kinds draw the same rotation, shift, flip,
brightness and contrast; they differ in where the box lies. A view with less of the bone than
pretraining.min_content has a dashed frame.
"""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipelines.config import StudyConfig
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.crops import scales, square_crops
from pipelines.pretraining.multicrop import ViewDraws, draw_views
from pipelines.pretraining.render import render
from pipelines.reporting.overlays import stretch
from pipelines.reporting.palette import INK, SECOND, drawing, region_colours
from pipelines.segmentation.stored import Segmentation
from storage.errors import InputError
from storage.manifest import Store

_FILM_PX = 640  # the longer side of the film as it is drawn
_GAP = 0.12  # between two pictures, in widths of one
KINDS = {"conventional": False, "content-aware": True}


def views_figure(
    store: Store, segmentation: Segmentation, config: PretrainingConfig, study: StudyConfig, stamp: str = ""
) -> str:
    """The figure as SVG text: for each region its crop, and a global and all local views of either kind.

    InputError where no film has all regions.
    """
    rows = segmentation.regions[segmentation.regions["found"]]
    rows = rows[rows["region"].isin(study.regions)].sort_values("key", kind="stable")
    counts = rows.groupby("key")["region"].nunique()
    whole = counts[counts == len(study.regions)]
    if whole.empty:
        raise InputError(f"No film has all {len(study.regions)} regions, so there is none to draw views of.")
    rows = rows[rows["key"] == whole.index[0]]
    found = [segmentation.read_region(row) for _, row in rows.iterrows()]
    scale_N = scales(store, rows, 1000 * config.crop_mm_per_pixel) if config.crop_mm_per_pixel else None
    crops_N2SS = square_crops(segmentation, rows, config.crop_pixels, scale_N)
    colours = region_colours(study.regions)
    columns, views = len(rows), 1 + config.num_local
    size_inch = 9.4, 9.4 * (0.42 + 0.11 * (1 + 2 * views))
    with drawing(
        "views", "Views by conventional and content-aware multi-crop", size_inch, stamp=stamp
    ) as drawn:
        axes = drawn.axes[0]
        axes.set_axis_off()
        film_HW = store.read_image(str(whole.index[0]))
        top = _film(axes, film_HW, rows, [mask for _, mask in found], colours, columns * (1 + _GAP))
        for column, (region, crop_2SS) in enumerate(zip(rows["region"], crops_N2SS, strict=True)):
            _picture(axes, crop_2SS[0] * (crop_2SS[1] > 0), column, 0, colours[region], "-")
            axes.text(column * (1 + _GAP) + 0.5, -0.06, region, ha="center", fontsize=7)
        line = 1
        for name, aware in KINDS.items():
            draws, images = cut(crops_N2SS, config, aware)
            axes.text(
                -0.08,
                _y(line + (views - 1) / 2) + 0.5,
                name,
                rotation=90,
                va="center",
                ha="right",
                fontsize=8,
            )
            for view in range(views):
                number = view if view == 0 else config.num_global + view - 1
                for column in range(columns):
                    little = draws.content_NV[column, number] < config.min_content
                    style = "--" if little else "-"
                    _picture(axes, images[number][column], column, line, SECOND if little else INK, style)
                line += 1
        axes.set(xlim=(-0.35, columns * (1 + _GAP)), ylim=(_y(line - 1) + 1.05, top), aspect="equal")
    return drawn.svg


def cut(
    crops_N2SS: NDArray[np.uint8], config: PretrainingConfig, content_aware: bool
) -> tuple[ViewDraws, list[NDArray[np.float32]]]:
    """The first epoch's draws for these crops, and by view, globals first, the images NTT."""
    scales = [(config.global_scale_min, config.global_scale_max)] * config.num_global
    scales += [(config.local_scale_min, config.local_scale_max)] * config.num_local
    samples_N = np.arange(len(crops_N2SS), dtype=np.int64)
    content = config.min_content if content_aware else 0.0
    draws = draw_views(crops_N2SS[:, 1], samples_N, config.seed, 0, np.asarray(scales, np.float32), content)
    images_NSS, masks_NSS = torch.from_numpy(crops_N2SS).unbind(1)
    affine, light = torch.from_numpy(draws.affine_NV23), torch.from_numpy(draws.light_NV2)
    images: list[NDArray[np.float32]] = []
    for first, last, size in (
        (0, config.num_global, config.global_size),
        (config.num_global, config.num_views, config.local_size),
    ):
        if last > first:
            views = render(images_NSS, masks_NSS, affine[:, first:last], light[:, first:last], size)
            images += list(views[:, 0].reshape(last - first, len(samples_N), size, size).numpy())
    return draws, images


def _y(line: float) -> float:
    return line * (1 + _GAP)


def _film(
    axes: Axes,
    film_HW: NDArray[np.unsignedinteger],
    rows: pd.DataFrame,
    masks: list[NDArray[np.bool_]],
    colours: dict[str, str],
    width: float,
) -> float:
    """The film above the pictures, with outlines and square boxes; returns where it ends, upwards."""
    height_px, width_px = film_HW.shape
    scale = _FILM_PX / max(film_HW.shape)
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    small = stretch(cv2.resize(film_HW, size, interpolation=cv2.INTER_AREA))
    unit = float(min(width / width_px, 4.0 / height_px))  # of a film's pixel
    left, top = (width - width_px * unit) / 2, -0.35 - height_px * unit
    extent = (left, left + width_px * unit, -0.35, top)
    axes.imshow(small, cmap="gray", extent=extent, vmin=0, vmax=255)
    for row, mask in zip(rows.to_dict("records"), masks, strict=True):
        y0, x0 = float(row["y0"]), float(row["x0"])
        colour, side = colours[str(row["region"])], max(mask.shape)
        corner_x, corner_y = x0 + (mask.shape[1] - side) / 2, y0 + (mask.shape[0] - side) / 2
        box = Rectangle((left + corner_x * unit, top + corner_y * unit), side * unit, side * unit, fill=False)
        box.set(edgecolor=colour, linewidth=0.8)
        axes.add_patch(box)
        x_W = left + (x0 + np.arange(mask.shape[1]) + 0.5) * unit
        y_H = top + (y0 + np.arange(mask.shape[0]) + 0.5) * unit
        axes.contourf(x_W, y_H, mask.astype(float), levels=[0.5, 1.5], colors=[colour], alpha=0.35)
    return float(top - 0.1)


def _picture(
    axes: Axes, image_SS: NDArray[np.generic], column: int, line: int, colour: str, style: str
) -> None:
    x, y = column * (1 + _GAP), _y(line)
    axes.imshow(image_SS, cmap="gray", extent=(x, x + 1, y + 1, y), vmin=0, vmax=_white(image_SS))
    axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=colour, linewidth=1.2, linestyle=style))


def _white(image_SS: NDArray[np.generic]) -> float:
    return 255.0 if image_SS.dtype == np.uint8 else 1.0
