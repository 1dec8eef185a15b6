"""What a stage gives to the loop, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Batch = dict[str, Tensor]


class Learner(Protocol):
    """What is trained: a model, its samples and its loss. N samples are one worker's slice of a batch."""

    model: nn.Module
    """Everything trainable. A step calls it once, through `loss`, so that DDP can wrap it."""
    num_samples: int
    validate_every: int
    """Steps between validations, which also follow the last step; 0 never validates."""

    def batch(self, indices_N: NDArray[np.int64], weights_N: NDArray[np.float32], epoch: int) -> Batch:
        """CPU tensors of these samples: a pure function of its arguments, called from background threads.

        The weights are 0 for the padding of an epoch's tail, and their mean over the whole batch is 1: so
        `(weights_N * loss_N).mean()` is the mean over the real samples, with any number of workers.
        """
        ...

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The scalar to minimise, and what else is worth a place in metrics.jsonl.

        `model` is the learner's own or a wrapper around it, so only call it. The batch is on its device.
        """
        ...

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Metrics of the weights that would be kept; called in eval mode, without gradients."""
        ...

    def score(self, metrics: dict[str, float]) -> float | None:
        """Of what `validate` gave, the figure that decides which weights are best: the higher the better.

        None: no weights are better than the last.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values beyond the model on which the next step depends, such as a queue.

        The first rank's are saved and every rank takes them back: they must be the same on all.
        """
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        ...


@runtime_checkable
class NamesSamples(Protocol):
    """A learner whose samples have names, for errors; without, they are told by their numbers."""

    def names(self, indices_N: NDArray[np.int64]) -> list[str]: ...


@dataclass(frozen=True)
class FitResult:
    """How a fit ended. After it, `learner.model` holds the last weights, averaged ones if ema > 0."""

    steps: int
    best_step: int
    """0 if nothing was validated."""
    best_score: float
    best: Mapping[str, Tensor] = field(compare=False, repr=False)
    """State of the model after the best step, averaged weights if ema > 0, on the CPU; empty without a score."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The last row of metrics.jsonl, without its times."""
    stopped: bool = False
    """The session asked to stop before the last step; the state is saved."""
