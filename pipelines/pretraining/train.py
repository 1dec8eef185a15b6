"""Pretrain an encoder on the bones of subjects without outcome; with the outcomes of a fold's training part, SupCon."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from pipelines.config import StudyConfig
from pipelines.pretraining import packed as packed_file
from pipelines.pretraining.backbone import build_backbone, check_sizes, num_features
from pipelines.pretraining.config import PretrainingConfig
from pipelines.pretraining.crops import Crops, open_crops
from pipelines.pretraining.encoder import KIND
from pipelines.pretraining.learner import PretrainingLearner
from pipelines.pretraining.origin import origin_of
from pipelines.pretraining.recipes import resolved, unsafe_mixes
from pipelines.pretraining.samples import packed_samples
from pipelines.pretraining.weights import load_initial
from pipelines.progress import Progress, silent
from pipelines.segmentation.stored import Segmentation
from pipelines.training import seen
from pipelines.training.loop import fit, save_weights
from pipelines.training.seeding import seed_torch
from pipelines.training.session import Session, StoppedEarly, until_stopped
from storage.atomic import write_json
from storage.errors import InputError
from storage.manifest import Store

_WEIGHTS = 2  # stream of randomness beside those of the loop
_NO_OUTCOMES = (
    "SupCon was given no outcomes, so every crop is a class of its own; it learns from the outcomes of a fold's"
    " training part alone, once for each fold."
)
_log = logging.getLogger(__name__)


def pretrain(
    store: Store,
    segmentation: Segmentation,
    folder: Path,
    config: PretrainingConfig,
    study: StudyConfig,
    session: Session,
    progress: Progress = silent,
    outcomes: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """Write folder/model.safetensors (the encoder alone) and folder/model.json; return figures.

    outcomes: subject to 0 or 1: only those of the training part of a fold, or the fold's test means nothing. The
    bones of these subjects join those that are trained on; SupCon learns from the outcomes, the others' probes read
    them.
    Raises InputError where no crop may be used, or initial weights don't fit or know outcomes of this store, and
    StoppedEarly where the session ends it before its last step.
    """
    origin = origin_of(config.initial_weights, store)
    seed_torch(config.seed, _WEIGHTS)
    backbone = build_backbone(config.backbone, config.channels)
    if config.initial_weights is not None:
        load_initial(backbone, config.backbone, config.initial_weights)
    trained = _Trained(figures={}, warnings=[], known=store.manifest[:0])
    if config.method != "none":
        trained = _train(
            backbone, store, segmentation, folder, config, study, session, progress, outcomes or {}
        )
    if session.rank == 0:
        save_weights(backbone, folder / "model.safetensors")
        description: dict[str, str | float] = {
            "backbone": config.backbone,
            "method": config.method,
            **origin.described(),
        }
        if config.crop_mm_per_pixel:
            description["crop_mm"] = config.crop_pixels * round(config.crop_mm_per_pixel, 3)
        training = {**trained.figures, "warning": " ".join(trained.warnings) or None}
        document = {"format": 1, "kind": KIND, KIND: description, "training": training}
        document[seen.SECTION] = {KIND: seen.merged(origin.seen, seen.written(trained.known))}
        write_json(folder / "model.json", document)
    return trained.figures


@dataclass(frozen=True)
class _Trained:
    """What a training leaves beside the weights; known: manifest rows of the films it learnt from."""

    figures: dict[str, float]
    warnings: list[str]
    known: pd.DataFrame


def _train(
    backbone: nn.Module,
    store: Store,
    segmentation: Segmentation,
    folder: Path,
    config: PretrainingConfig,
    study: StudyConfig,
    session: Session,
    progress: Progress,
    outcomes: Mapping[str, int],
) -> _Trained:
    sizes = {"pretraining.global_size": config.global_size}
    sizes |= {"pretraining.local_size": config.local_size} if config.num_local else {}
    check_sizes(backbone, config.backbone, sizes)
    packed, cache = folder / packed_file.NAME, (store.root, segmentation, config.crop_pixels)
    if session.rank == 0:
        preparing = until_stopped(session, config.steps, progress)
        crops = open_crops(*cache, preparing, config.crop_mm_per_pixel)
        packed_file.pack(crops, choose_crops(crops, store, config, study, outcomes), packed)
    session.report({})  # a barrier: cache and packed file have one writer
    crops = open_crops(*cache, mm_per_pixel=config.crop_mm_per_pixel)
    chosen = choose_crops(crops, store, config, study, outcomes)
    config = resolved(config, num_features(backbone), len(chosen))
    warnings = unsafe_mixes(config, len(chosen))
    if config.method == "supcon" and not outcomes:
        warnings.append(_NO_OUTCOMES)
    if session.rank == 0:
        for warning in warnings:
            _log.warning("%s", warning)
    samples = packed_samples(crops, chosen, outcomes, packed, config.crop_pixels)
    learner = PretrainingLearner(backbone, samples, config)
    identity = f"{store.fingerprint()} {segmentation.model_id}"
    result = fit(learner, config, session, folder, identity, progress)
    if session.rank == 0:
        packed.unlink(missing_ok=True)
    if result.stopped:
        raise StoppedEarly(result.steps, config.steps)
    return _Trained(
        figures={"crops": len(chosen), "steps": result.steps, **result.metrics},
        warnings=warnings + ([learner.warning] if learner.warning else []),
        known=store.manifest[store.manifest["key"].isin(crops.rows["key"].iloc[chosen])],
    )


def choose_crops(
    crops: Crops,
    store: Store,
    config: PretrainingConfig,
    study: StudyConfig,
    outcomes: Mapping[str, int] | None = None,
) -> NDArray[np.int64]:
    """Rows to train on: the study's regions, by default of subjects without outcome or with one of `outcomes`."""
    use = crops.rows["region"].isin(study.names(config.regions))
    if config.subjects == "without_outcome":
        subject = crops.rows["subject"]
        use &= ~subject.isin(store.outcomes["subject"]) | subject.isin(list(outcomes or {}))
    chosen: NDArray[np.int64] = np.flatnonzero(use.to_numpy())
    if not len(chosen):
        raise InputError(
            f"None of the {len(crops.rows)} regions found belongs to a subject without outcome, and only these"
            " pretrain: add such films, or set pretraining.subjects=all, which pretrains on images of test"
            " subjects too, or pretraining.method=none."
        )
    return chosen
