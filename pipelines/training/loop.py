"""The one training loop.

Everything random in a step follows from (seed, step, rank), and the batch from (seed, epoch, position). So a
training that was stopped or killed goes on from its newest checkpoint and ends in the same bits as one that
never stopped.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipelines.heap import give_freed_memory_back, keep_freed_memory
from pipelines.progress import Progress, silent
from pipelines.training import checkpoint
from pipelines.training.config import TrainingConfig
from pipelines.training.learner import Batch, FitResult, Learner, NamesSamples
from pipelines.training.optimizer import build_optimizer
from pipelines.training.precision import autocast
from pipelines.training.schedule import cosine_with_warmup
from pipelines.training.seeding import seed_torch
from pipelines.training.session import Session
from pipelines.training.state import Training, resume, update_average
from pipelines.training.tracking import NullTracker, Tracker
from storage.atomic import replacing
from storage.errors import ConfigError, TrainingError
from storage.prefetch import prefetch
from storage.sampler import SampleOrder, SamplerState

__all__ = ["Batch", "FitResult", "Learner", "fit", "save_weights"]

NAMED = 8  # samples that an error names
_KEPT_MB = 512  # of activations
_STEP, _VALIDATION = 0, 1  # streams of randomness


@dataclass(frozen=True)
class Position:
    """Where a step stands in the data: this worker's samples, how many all workers have, and what comes after them."""

    epoch: int
    indices_N: NDArray[np.int64]
    weights_N: NDArray[np.float32]
    num_real: int
    after: SamplerState


def fit(
    learner: Learner,
    config: TrainingConfig,
    session: Session,
    folder: Path,
    generation: str,
    progress: Progress = silent,
) -> FitResult:
    """Train to config.steps, from the newest checkpoint in `folder` if there is one.

    Writes folder/checkpoints, metrics.jsonl and tensorboard.
    `generation` names the samples; a checkpoint of other samples is refused. TrainingError if the loss is not
    finite, ConfigError if the batch is smaller than the number of ranks. The caller seeds (seeding.py) before
    it builds the model.
    """
    if session.device.type == "cpu":
        keep_freed_memory(_KEPT_MB)
    training, order = set_up(learner, config, session, folder, generation)
    model = distributed(learner.model, session) if session.world_size > 1 else learner.model
    todo = positions(training, order, config, session)
    stopped = False

    def prepare(position: Position) -> Batch:
        return learner.batch(position.indices_N, position.weights_N, position.epoch)

    with (
        Tracker(folder, training.step) if session.rank == 0 else NullTracker() as tracker,
        closing(prefetch(todo, prepare, loader_workers(config, session))) as batches,
    ):
        began = time.perf_counter()
        for position, batch in batches:
            arrived = time.perf_counter()
            metrics = train_step(training, model, position, batch, config, session)
            if is_due(training.step, learner.validate_every, config.steps):
                metrics |= validate(training, config, session)
            training.metrics = metrics
            ended = time.perf_counter()
            times = {"step_s": ended - began, "wait_s": arrived - began}
            tracker.log(training.step, {**metrics, "samples": position.num_real, **times})
            progress(training.step, config.steps, f"loss {metrics['loss']:.3f}")
            stopped = session.should_stop(training.step) and training.step < config.steps
            if stopped or is_due(training.step, config.checkpoint_every_steps, config.steps):
                tracker.flush()
                check_finite(training, config)
                if session.rank == 0:
                    checkpoint.save(folder / "checkpoints", training.step, training.state_dict())
                session.report(metrics)
            if stopped:
                break
            began = ended
    if training.averages:
        learner.model.load_state_dict(training.average.state_dict())
    give_freed_memory_back()
    return FitResult(
        training.step, training.best_step, training.best_score, training.best, training.metrics, stopped
    )


def loader_workers(config: TrainingConfig, session: Session) -> int:
    """Threads beside the steps. On a CPU none: one would take turns with those of a step, which wait for each other."""
    return config.loader_workers if config.loader_workers >= 0 else int(session.device.type == "cuda")


def distributed(model: nn.Module, session: Session) -> nn.Module:
    """The model, its gradients averaged over the ranks.

    From its second step on DDP would order its buckets as the gradients arrive, and a sum over three ranks
    or more depends on the place in a bucket: a resumed training would part from one that never stopped. The
    search for unused parameters keeps the buckets as they are; on a GPU, where bits are not promised, it is off.
    """
    return DistributedDataParallel(model, find_unused_parameters=session.device.type == "cpu")


def set_up(
    learner: Learner, config: TrainingConfig, session: Session, folder: Path, generation: str
) -> tuple[Training, SampleOrder]:
    """The state before the first step, or that of the newest checkpoint; and the order of the samples."""
    if config.batch_size < session.world_size:
        raise ConfigError(
            f"{config.section}.batch_size must be at least the number of workers, {session.world_size}, so that"
            f" each has a sample, but is {config.batch_size}."
        )
    order = SampleOrder(learner.num_samples, config.seed, generation)
    if config.threads:
        torch.set_num_threads(config.threads)
    cv2.setNumThreads(torch.get_num_threads())  # views are rendered by OpenCV, which would take all CPUs
    folder.mkdir(parents=True, exist_ok=True)
    learner.model.to(session.device)
    if session.device.type == "cuda":
        learner.model.to(memory_format=torch.channels_last)  # what tensor cores read
    average = copy.deepcopy(learner.model).requires_grad_(False) if config.ema else learner.model
    training = Training(learner, average, build_optimizer(learner.model, config), order.start())
    newest = checkpoint.latest(folder / "checkpoints")
    if newest is not None:
        resume(training, newest, order)
    return training, order


def positions(
    training: Training, order: SampleOrder, config: TrainingConfig, session: Session
) -> Iterator[Position]:
    """The place in the data of every step still to do."""
    at = training.sampler
    for _ in range(training.step, config.steps):
        indices_N, weights_N = order.batch(
            at.epoch, at.samples_done, config.batch_size, session.rank, session.world_size
        )
        num_real = min(config.batch_size, order.num_samples - at.samples_done)
        weights_N *= np.float32(len(weights_N) * session.world_size / num_real)
        after = order.advance(at, config.batch_size)
        yield Position(at.epoch, indices_N, weights_N, num_real, after)
        at = after


def train_step(
    training: Training,
    model: nn.Module,
    position: Position,
    batch: Batch,
    config: TrainingConfig,
    session: Session,
) -> dict[str, float]:
    """One update of the weights; returns the row that describes it."""
    optimizer = training.optimizer
    lr = config.lr * cosine_with_warmup(training.step, config.steps, config.warmup_steps)
    for group in optimizer.param_groups:
        group["lr"] = lr
    seed_torch(config.seed, _STEP, training.step, session.rank)

    model.train()
    batch = {name: tensor.to(session.device, non_blocking=True) for name, tensor in batch.items()}
    with autocast(session.device, config.bf16):
        loss, extra = training.learner.loss(model, batch)
    value = loss.item()
    if not math.isfinite(value):
        samples = ", ".join(sample_names(training.learner, position))
        raise TrainingError(
            f"The loss of step {training.step + 1} is {value} (first samples: {samples});"
            f" lower {config.section}.lr or look at these samples."
        )

    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if config.gradient_clip:
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        extra["gradient_norm"] = norm.item()
    optimizer.step()

    training.step += 1
    training.sampler = position.after
    if training.averages:
        update_average(training.average, training.learner.model, training.step, config.ema)
    return {"epoch": position.epoch, "loss": value, "lr": lr, **extra}


def sample_names(learner: Learner, position: Position) -> list[str]:
    """What a user knows the first of a step's samples by: their names if the learner has any, else numbers."""
    first = position.indices_N[position.weights_N > 0][:NAMED]
    return learner.names(first) if isinstance(learner, NamesSamples) else list(map(str, first.tolist()))


def check_finite(training: Training, config: TrainingConfig) -> None:
    """TrainingError if weights are not finite, so that no checkpoint of them pushes out a good one."""
    if not all(bool(parameter.isfinite().all()) for parameter in training.learner.model.parameters()):
        raise TrainingError(
            f"The weights after step {training.step} are not finite, so they are not saved; lower"
            f" {config.section}.lr and run again, which goes on from the checkpoint before."
        )


@torch.no_grad()
def validate(training: Training, config: TrainingConfig, session: Session) -> dict[str, float]:
    """Score the weights as they are, and keep them if they are the best so far."""
    seed_torch(config.seed, _VALIDATION, training.step)
    training.average.eval()
    with autocast(session.device, config.bf16):
        metrics = training.learner.validate(training.average, training.step)
    score = training.learner.score(metrics)
    if score is None:
        return metrics
    if score > training.best_score:
        training.keep_best(score)
    return metrics | {"score": score}


def save_weights(model: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a model's parameters and buffers as safetensors, whole or not at all."""
    tensors: dict[str, Tensor] = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def is_due(step: int, every: int, steps: int) -> bool:
    """True at each multiple of `every` and at the last step; never if `every` is 0."""
    return every > 0 and (step % every == 0 or step == steps)
