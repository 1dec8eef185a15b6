"""Annotated films in memory: which subjects train and which validate, and their films prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.progress import Progress, silent
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.pose import turn
from pipelines.segmentation.prepare import CLAHE_CLIP, place, prepare, warp_mask
from pipelines.segmentation.shown import read_shown
from storage.errors import InputError
from storage.manifest import Store

MARGIN = 1.2  # films that train are kept finer than the grid, so that a view that zooms in stays sharp
CLAHE_CLIPS = (1.0, 4.5)  # range from which each training film draws its own clip limit


@dataclass(frozen=True)
class AnnotatedFilm:
    """A prepared film and the masks that train, with weights that sum to 1."""

    key: str
    channels_HWC: np.ndarray
    """uint8, stretched and equalised."""
    masks_MHW: np.ndarray
    """uint8 class indices."""
    beta_M: np.ndarray
    """float32."""


def annotated_films(store: Store, subjects: str) -> pd.DataFrame:
    """key, subject of the films with a mask of positive weight, ordered by key.

    subjects: without_outcome leaves out everyone in the outcomes. InputError where fewer than two subjects
    remain.
    """
    weighted = store.annotations.loc[store.annotations["weight"] > 0, "key"].unique()
    films = store.manifest.loc[store.manifest["key"].isin(weighted), ["key", "subject"]]
    if subjects == "without_outcome":
        films = films[~films["subject"].isin(store.outcomes["subject"])]
    if films["subject"].nunique() < 2:
        whom = "subjects without outcome" if subjects == "without_outcome" else "subjects"
        raise InputError(
            f"A segmenter needs annotated films of at least 2 {whom}, but {store.root} has"
            f" {films['subject'].nunique()}: give masks by annotations=, or a finished segmenter"
            " (segmenter=DIR of radmill run, model=DIR of radmill segment)."
        )
    return films.sort_values("key", ignore_index=True)


def film_bits(store: Store) -> dict[str, int]:
    """Significant bits of every film by its key."""
    return dict(zip(store.manifest["key"], store.manifest["bits"].astype(int), strict=True))


def split_subjects(films: pd.DataFrame, config: SegmentationConfig) -> tuple[list[str], list[str]]:
    """Keys that train and keys that validate, apart by subject, drawn from the seed."""
    subjects = np.array(sorted(films["subject"].unique()))
    order = np.random.default_rng([config.seed, 0]).permutation(subjects)
    num_validate = min(len(subjects) - 1, max(1, round(config.validation_share * len(subjects))))
    held_out = films["subject"].isin(order[:num_validate])
    return list(films.loc[~held_out, "key"]), list(films.loc[held_out, "key"])[: config.validation_films]


def cached_keys(store: Store, keys: list[str], config: SegmentationConfig) -> list[str]:
    """As many of the keys, from the first, as fit into cache_gb."""
    weighted = store.annotations[store.annotations["weight"] > 0]
    masks_per_film = weighted.groupby("key").size().reindex(keys).to_numpy()
    pixels = round(config.grid_height * MARGIN) * round(config.grid_width * MARGIN)
    size_gb = np.cumsum((masks_per_film + 2) * pixels) / 1e9
    return keys[: max(1, int((size_gb <= config.cache_gb).sum()))]


def load_training(
    store: Store,
    keys: list[str],
    config: SegmentationConfig,
    side_classes: Sequence[int],
    progress: Progress = silent,
) -> list[AnnotatedFilm]:
    """The films prepared on a grid finer by MARGIN, each with a clip limit of its own."""
    height, width = round(config.grid_height * MARGIN), round(config.grid_width * MARGIN)
    bits = film_bits(store)
    films = []
    for index, key in enumerate(keys):
        clip = float(np.random.default_rng([config.seed, 1, index]).uniform(*CLAHE_CLIPS))
        films.append(load_film(store, key, bits[key], height, width, side_classes, clip))
        progress(index + 1, len(keys), "films prepared")
    return films


def load_film(
    store: Store,
    key: str,
    bits: int,
    height: int,
    width: int,
    side_classes: Sequence[int],
    clip: float = CLAHE_CLIP,
) -> AnnotatedFilm:
    """One film on a grid with the masks whose weight is positive, mirrored if it shows the other side."""
    pixels, masks, weights = read_shown(store, key), store.read_masks(key), store.annotator_weights(key)
    matrix = place(pixels.shape[0], pixels.shape[1], height, width).matrix
    annotators = [name for name in sorted(masks) if weights[name] > 0]
    beta_M = np.array([weights[name] for name in annotators], np.float32)
    channels_HWC = prepare(pixels, bits, matrix, height, width, clip)
    masks_MHW = np.stack([warp_mask(masks[name], matrix, height, width) for name in annotators])
    if side_classes and turn(masks_MHW[0], side_classes) < 0:
        channels_HWC, masks_MHW = channels_HWC[:, ::-1].copy(), masks_MHW[..., ::-1].copy()
    return AnnotatedFilm(key, channels_HWC, masks_MHW, beta_M / beta_M.sum())
