"""Train the segmenter on the annotated films of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.config import StudyConfig
from pipelines.progress import Progress, silent
from pipelines.segmentation.augment import augment
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.described import SECTION
from pipelines.segmentation.experts import PHASES, ExpertSegmenter
from pipelines.segmentation.loss import anneal, mixture_loss
from pipelines.segmentation.model import SegmenterSettings
from pipelines.segmentation.plausible import RegionSizes
from pipelines.segmentation.prepare import standardise
from pipelines.segmentation.samples import (
    AnnotatedFilm,
    annotated_films,
    cached_keys,
    film_bits,
    load_film,
    load_training,
    split_subjects,
)
from pipelines.segmentation.validate import validation_metrics
from pipelines.training import seen
from pipelines.training.loop import fit, save_weights
from pipelines.training.seeding import seed_torch
from pipelines.training.session import Session, StoppedEarly, until_stopped
from storage.atomic import write_json
from storage.manifest import Store

_WEIGHTS, _VIEWS = 2, 3  # streams of randomness beside those of the loop


def train_segmenter(
    store: Store,
    folder: Path,
    config: SegmentationConfig,
    study: StudyConfig,
    session: Session,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Fit, keep the weights that validate best, write folder/model.safetensors and folder/model.json.

    Returns what model.json says of the training. Raises InputError without annotated films, StoppedEarly
    where the session ends it before its last step.
    """
    settings = SegmenterSettings.of(config, study)
    trained, validated = split_subjects(annotated_films(store, config.subjects), config)
    trained = cached_keys(store, trained, config)
    preparing = until_stopped(session, config.steps, progress)
    films = load_training(store, trained, config, settings.side_classes, preparing)
    grid, bits = (config.grid_height, config.grid_width), film_bits(store)
    held_out = [load_film(store, key, bits[key], *grid, settings.side_classes) for key in validated]
    seed_torch(config.seed, _WEIGHTS)
    settings = replace(
        settings, sizes=RegionSizes.of([film.masks_MHW[0] for film in films], len(study.regions))
    )
    learner = SegmenterLearner(settings.build(), films, held_out, config, settings.regions)
    result = fit(learner, config, session, folder, store.fingerprint(), progress)
    if result.stopped:
        raise StoppedEarly(result.steps, config.steps)
    summary = {
        "films": len(trained),
        "films_validated": len(validated),
        "steps": result.steps,
        "best_step": result.best_step,
        **learner.best(result.best_step),
    }
    if session.rank == 0:
        learner.model.load_state_dict(result.best)
        save_weights(learner.model, folder / "model.safetensors")
        known = store.manifest[store.manifest["key"].isin([*trained, *validated])]
        document = {"format": 1, "kind": SECTION, SECTION: settings.to_dict(), "training": summary}
        document[seen.SECTION] = {SECTION: seen.written(known)}
        write_json(folder / "model.json", document)
    return summary


def halved(image: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Image and masks (... H x W) at half of their size: every other pixel's class, and the mean of 3 x 3 around it.

    Means of 2 x 2 would lie half a pixel beside the masks.
    """
    return F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False), masks[..., ::2, ::2]


class SegmenterLearner:
    """The segmenter as the loop wants it; see `pipelines.training.learner.Learner`."""

    def __init__(
        self,
        model: ExpertSegmenter,
        films: list[AnnotatedFilm],
        held_out: list[AnnotatedFilm],
        config: SegmentationConfig,
        regions: list[str],
    ) -> None:
        self.model: nn.Module = model
        self._segmenter = model
        self.num_samples = len(films)
        self.validate_every = config.validate_every
        self._films, self._held_out = films, held_out
        self._config, self._regions = config, regions
        self._max_masks = max(len(film.beta_M) for film in films)
        self._step = 0
        self._history: dict[str, dict[str, float]] = {}

    def batch(
        self, indices_N: NDArray[np.int64], weights_N: NDArray[np.float32], epoch: int
    ) -> dict[str, Tensor]:
        """Random views: image, masks (padded with weight 0 to the same number), beta, weights, phase."""
        config = self._config
        height, width = config.grid_height, config.grid_width
        views, masks = [], np.zeros((len(indices_N), self._max_masks, height, width), np.uint8)
        beta = np.zeros((len(indices_N), self._max_masks), np.float32)
        for row, index in enumerate(indices_N):
            film = self._films[index]
            rng = np.random.default_rng([config.seed, _VIEWS, epoch, int(index)])
            view, view_masks = augment(
                film.channels_HWC,
                film.masks_MHW,
                height,
                width,
                rng,
                config.foreign_views,
                config.wide_poses,
                not config.side_regions,
            )
            views.append(view)
            masks[row, : len(view_masks)] = view_masks
            beta[row, : len(view_masks)] = film.beta_M
        phase = np.random.default_rng([config.seed, _VIEWS, epoch, int(indices_N[0])]).integers(PHASES)
        return {
            "image": standardise(np.stack(views)),
            "masks": torch.from_numpy(masks),
            "beta": torch.from_numpy(beta),
            "weights": torch.from_numpy(weights_N),
            "phase": torch.tensor(int(phase)),
        }

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Transport, router and cross-entropy on one of the interleaved pixel grids."""
        config, image, masks = self._config, batch["image"], batch["masks"]
        if self._step < config.half_resolution_share * config.steps:
            image, masks = halved(image, masks)
        phase = int(batch["phase"])
        gamma = anneal(self._step, round(config.gamma_share * config.steps), config.gamma_start)
        self._step += 1
        output = model(image, self._segmenter.draw_noise(len(image)), phase)
        parts = mixture_loss(output, masks[..., phase // 2 :: 2, phase % 2 :: 2], batch["beta"], gamma)
        total_B = (
            parts.transport_B
            + config.router_weight * parts.router_B
            + parts.presence_B
            + parts.identity_B
            + parts.coarse_B
        )
        metrics = {name.removesuffix("_B"): part.mean().item() for name, part in parts._asdict().items()}
        return (batch["weights"] * total_B).mean(), metrics | {"gamma": gamma}

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Dice, GED and the use of the entropy on the held-out films; nothing is augmented."""
        if not isinstance(model, ExpertSegmenter):
            raise TypeError(f"The model must be an ExpertSegmenter, but is {type(model).__name__}.")
        metrics = validation_metrics(model, self._held_out, self._regions)
        self._history[str(step)] = metrics
        return metrics

    def score(self, metrics: dict[str, float]) -> float:
        """Mean Dice, 0 where no mask shows a region, less the energy distance."""
        return metrics.get("dice", 0.0) - metrics["ged"]

    def best(self, step: int) -> Mapping[str, float]:
        """What was validated at a step."""
        return self._history[str(step)]

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step, "history": self._history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._step, self._history = state["step"], state["history"]
