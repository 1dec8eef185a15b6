"""Supervised training on whole films: one stage, or SupCon and then a classifier on the frozen encoder.

One stage: encoder and classifier are trained together by the loss. Two stages (the HSG paper, figure 1): the
encoder is trained by SupCon on two views of every film, frozen, and the classifier alone is trained by the
loss on its embeddings of several views. Weights are those of the least loss on held-out women: the loss that
was trained, never compared with another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.classification.exams import FilmSet
from pipelines.classification.film_model import FilmEncoder, FilmHead, FilmNet, as_films, outputs, views
from pipelines.classification.losses import build_loss
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.inference import side_by_side
from pipelines.pretraining.backbone import build_backbone, check_sizes
from pipelines.pretraining.supcon import sup_con
from pipelines.pretraining.weights import load_initial
from pipelines.progress import Progress, silent
from pipelines.training.loop import Batch, fit, save_weights
from pipelines.training.seeding import seed_torch
from pipelines.training.session import Session, StoppedEarly
from storage.errors import TrainingError

_WEIGHTS = 2  # stream of randomness beside those of the loop
_PIECE = 32  # films read at a time
FROZEN_VIEWS = 8  # embeddings of a film that the classifier meets in turn


def train_films(
    train: FilmSet,
    chosen_on: FilmSet,
    folder: Path,
    config: SupervisedConfig,
    session: Session,
    progress: Progress = silent,
) -> None:
    """Train by config.loss, alone or after SupCon; folder/model.safetensors has the least loss on `chosen_on`.

    Resumes from the checkpoints in the folder. TrainingError where a class is absent, InputError where initial weights
    don't fit, StoppedEarly where the session ends it.
    """
    for name, films in (("training", train), ("validation", chosen_on)):
        if len(np.unique(films.outcome_N)) < 2:
            raise TrainingError(
                f"The {name} films of one split are all of one class: give more exams, or another supervised.seed"
                " with supervised.seed_controls=split."
            )
    seed_torch(config.seed, _WEIGHTS)
    model = FilmNet(config)
    if config.initial_weights is not None:
        load_initial(model.encoder.backbone, config.backbone, config.initial_weights, config.section)
    names = f"{config.input_size} " + " ".join(train.rows["key"])
    learner: FilmLearner | HeadLearner
    if config.supcon:
        _fit(SupConLearner(model.encoder, train, config), config, session, folder / "supcon", names, progress)
        learner = HeadLearner(model, train, chosen_on, config)
        head = replace(config, steps=config.head_steps, warmup_steps=0)
        best = _fit(learner, head, session, folder / "head", names, progress)
        model.head.load_state_dict(best)
    else:
        learner = FilmLearner(model, train, chosen_on, config)
        best = _fit(learner, config, session, folder / "films", names, progress)
        model.load_state_dict(best)
    save_weights(model, folder / "model.safetensors")


def check_input(config: SupervisedConfig) -> None:
    """ConfigError where the backbone is unknown or takes no films of supervised.input_size."""
    backbone = build_backbone(config.backbone, section=config.section)
    check_sizes(
        backbone, config.backbone, {"supervised.input_size": config.input_size}, section=config.section
    )


def probabilities(model: FilmNet, films: FilmSet) -> NDArray[np.float64]:
    """Probability of the positive class of every film, N."""
    pieces = torch.split(as_films(films.images_NSS), _PIECE)
    logit_N = torch.cat(list(side_by_side(pieces, partial(outputs, model)))).double().numpy()
    probability_N: NDArray[np.float64] = 1 / (1 + np.exp(-logit_N))
    return probability_N


def _fit(
    learner: _Learner,
    config: SupervisedConfig,
    session: Session,
    folder: Path,
    names: str,
    progress: Progress,
) -> Mapping[str, Tensor]:
    """The best weights."""
    result = fit(learner, config, session, folder, names, progress)
    if result.stopped:
        raise StoppedEarly(result.steps, config.steps)
    return result.best


class _Learner:
    """What the three have in common; see `pipelines.training.learner.Learner`."""

    model: nn.Module

    def __init__(self, films: FilmSet, config: SupervisedConfig) -> None:
        self.num_samples = len(films.rows)
        self.validate_every = 0
        self._films, self._config = films, config
        self._loss = build_loss(
            config.loss, config.focal_gamma, config.asl_positive, config.asl_negative, config.asl_margin
        )
        self._outcome_N = films.outcome_N.astype(np.float32)

    def batch(self, indices_N: NDArray[np.int64], weights_N: NDArray[np.float32], epoch: int) -> Batch:
        """Films or embeddings of these samples; padding is left out."""
        used = indices_N[weights_N > 0] if (weights_N > 0).any() else indices_N[:1]
        if len(used) == 1:  # batch norm has no spread of one, nor of one twice
            used = np.append(used, (used + 1) % self.num_samples)
        return {"input": self._inputs(used, epoch), "outcome": torch.from_numpy(self._outcome_N[used])}

    def _inputs(self, used: NDArray[np.int64], epoch: int) -> Tensor:
        return views(self._films.images_NSS[used], used, self._config.seed, epoch, 1)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The mean of the configured loss."""
        return self._loss(model(batch["input"]).float(), batch["outcome"]), {}

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Nothing, unless a learner has something to look at."""
        return {}

    def score(self, metrics: dict[str, float]) -> float | None:
        """The less loss on held-out women, the better."""
        return -metrics["validation_loss"] if "validation_loss" in metrics else None

    def state_dict(self) -> dict[str, Any]:
        """Nothing beyond the model."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take back."""


class FilmLearner(_Learner):
    """Encoder and classifier together."""

    def __init__(
        self, model: nn.Module, train: FilmSet, chosen_on: FilmSet, config: SupervisedConfig
    ) -> None:
        super().__init__(train, config)
        self.model = model.to(memory_format=torch.channels_last)
        self.validate_every = max(1, config.steps // 15)
        self._held_out = as_films(chosen_on.images_NSS)
        self._held_outcome_N = torch.from_numpy(chosen_on.outcome_N.astype(np.float32))

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """The loss on held-out women."""
        return {"validation_loss": self._loss(outputs(model, self._held_out), self._held_outcome_N).item()}


class SupConLearner(_Learner):
    """The encoder, by SupCon on two views of each film; the last weights count."""

    def __init__(self, encoder: FilmEncoder, train: FilmSet, config: SupervisedConfig) -> None:
        super().__init__(train, config)
        self.model = encoder.to(memory_format=torch.channels_last)

    def _inputs(self, used: NDArray[np.int64], epoch: int) -> Tensor:
        return views(self._films.images_NSS[used], used, self._config.seed, epoch, 2)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """L_out over both views of all films."""
        embedding_RE = model(batch["input"]).float()
        return sup_con(embedding_RE, batch["outcome"].repeat(2), self._config.temperature), {}


class HeadLearner(_Learner):
    """The classifier on the frozen encoder's embeddings of a fixed set of views."""

    def __init__(self, model: FilmNet, train: FilmSet, chosen_on: FilmSet, config: SupervisedConfig) -> None:
        super().__init__(train, config)
        self.model: FilmHead = model.head
        self.validate_every = max(1, config.head_steps // 30)
        samples_N = np.arange(len(train.rows), dtype=np.int64)
        self._embedding_VNE = torch.stack(
            [
                outputs(model.encoder, views(train.images_NSS, samples_N, config.seed, -view % 2**31, 1))
                for view in range(1, FROZEN_VIEWS + 1)
            ]
        )
        self._held_out = outputs(model.encoder, as_films(chosen_on.images_NSS))
        self._held_outcome_N = torch.from_numpy(chosen_on.outcome_N.astype(np.float32))

    def _inputs(self, used: NDArray[np.int64], epoch: int) -> Tensor:
        return self._embedding_VNE[epoch % FROZEN_VIEWS, used]

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """The loss on held-out women."""
        return {"validation_loss": self._loss(outputs(model, self._held_out), self._held_outcome_N).item()}
