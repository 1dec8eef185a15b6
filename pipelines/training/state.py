"""The state of a fit: everything that a checkpoint holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipelines.training import checkpoint
from pipelines.training.learner import Learner
from storage.errors import StorageError
from storage.sampler import SampleOrder, SamplerState


@dataclass
class Training:
    """Where a fit is. No generator's state is in it: randomness follows from the step (see seeding.py)."""

    learner: Learner
    average: nn.Module
    """The moving average of the model, or the model itself where nothing is averaged."""
    optimizer: Optimizer
    sampler: SamplerState
    step: int = 0
    best_step: int = 0
    best_score: float = -math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    """The weights of the best step. They belong to the state: after a kill, steps since the checkpoint are done again,
    on a GPU with other bits, and weights of the first attempt would have a score that nobody is told."""
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def averages(self) -> bool:
        """True if the average is a model of its own."""
        return self.average is not self.learner.model

    def keep_best(self, score: float) -> None:
        """The weights as they are now are the best so far."""
        self.best_step, self.best_score = self.step, score
        self.best = {
            name: tensor.detach().cpu().clone() for name, tensor in self.average.state_dict().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that it can be loaded without running code."""
        return {
            "model": self.learner.model.state_dict(),
            "average": self.average.state_dict() if self.averages else {},
            "optimizer": self.optimizer.state_dict(),
            "learner": self.learner.state_dict(),
            "sampler": self.sampler.to_dict(),
            "step": self.step,
            "best_step": self.best_step,
            "best_score": self.best_score,
            "best": self.best,
            "metrics": self.metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.learner.model.load_state_dict(state["model"])
        if self.averages:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.learner.load_state_dict(state["learner"])
        self.sampler = SamplerState.from_dict(state["sampler"])
        self.step, self.metrics = state["step"], state["metrics"]
        # an earlier version kept it in a file: then the best is of what comes from now on
        if "best" in state:
            self.best = state["best"]
            self.best_step, self.best_score = state["best_step"], state["best_score"]


def resume(training: Training, path: Path, order: SampleOrder) -> None:
    """Load a checkpoint; InputError if it belongs to other samples, StorageError if to another model."""
    state = checkpoint.load(path)
    order.check(SamplerState.from_dict(state["sampler"]))
    try:
        training.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise StorageError(
            f"The checkpoint {path} belongs to another model; start over with fresh=true."
        ) from error


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """average <- d average + (1 - d) model, d = min(decay, (1 + step) / (10 + step)) for a quick start."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)
