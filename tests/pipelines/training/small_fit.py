"""A learner that is small but has all that could break a resume; also a script whose fit ends by a signal."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines.training.config import TrainingConfig
from pipelines.training.loop import Batch, FitResult, fit, save_weights
from pipelines.training.seeding import seed_torch
from pipelines.training.session import LocalSession, Session


class SmallLearner:
    """Convolution, batch norm, dropout and a state of its own that enters the loss."""

    validate_every = 3

    def __init__(self, num_samples: int = 11, plain: bool = False) -> None:
        """plain: nothing that depends on which samples meet in a batch."""
        seed_torch(7)
        inner: list[nn.Module] = [] if plain else [nn.BatchNorm2d(4), nn.Dropout(0.5)]
        self.plain = plain
        self.model: nn.Module = nn.Sequential(
            nn.Conv2d(1, 4, 3), *inner, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)
        )
        self.num_samples = num_samples
        self.mean = torch.zeros(())

    def batch(self, indices_N: NDArray[np.int64], weights_N: NDArray[np.float32], epoch: int) -> Batch:
        images_NHW = [np.random.default_rng((5, epoch, int(i))).normal(size=(8, 8)) for i in indices_N]
        return {
            "image_N1HW": torch.tensor(np.stack(images_NHW), dtype=torch.float32)[:, None],
            "target_N": torch.from_numpy(indices_N % 2).float(),
            "weight_N": torch.from_numpy(weights_N),
        }

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        error_N = (model(batch["image_N1HW"])[:, 0].float() - batch["target_N"] - 0.1 * self.mean) ** 2
        loss = (batch["weight_N"] * error_N).mean()
        if not self.plain:
            self.mean = 0.9 * self.mean + 0.1 * loss.detach()
        return loss, {"mean": float(self.mean)}

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        batch = self.batch(np.arange(4), np.ones(4, np.float32), 0)
        error = (model(batch["image_N1HW"])[:, 0] - batch["target_N"]).square().mean()
        return {"validation/error": float(error), "validation/noise": float(torch.rand(()))}

    def score(self, metrics: dict[str, float]) -> float:
        return -metrics["validation/error"]

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]


def config(**changes: Any) -> TrainingConfig:
    values = {"steps": 10, "batch_size": 4, "lr": 0.01, "ema": 0.9, "checkpoint_every_steps": 4, "threads": 1}
    return TrainingConfig(**({"bf16": False} | values | changes))


def small_fit(folder: Path, session: Session | None = None, **changes: Any) -> FitResult:
    learner = SmallLearner()
    result = fit(learner, config(**changes), session or LocalSession("cpu"), folder, "000001")
    if not result.stopped:
        save_weights(learner.model, folder / "model.safetensors")
        save_file(dict(result.best), folder / "best.safetensors")
    return result


class Killed(LocalSession):
    """Ends the process after one step as a power cut would."""

    def __init__(self, kill_at: int) -> None:
        super().__init__("cpu")
        self.kill_at = kill_at

    def should_stop(self, step: int) -> bool:
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return False


def fit_rank(folder: Path, rank: int, world_size: int) -> None:
    """The plain learner as one rank of several, in folder/<world_size>."""
    session = LocalSession("cpu")
    session.rank, session.world_size = rank, world_size
    if world_size > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world_size)
    learner = SmallLearner(plain=True)
    fit(learner, config(), session, folder / str(world_size), "000001")
    if rank == 0:
        save_weights(learner.model, folder / str(world_size) / "model.safetensors")
    if world_size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        small_fit(Path(sys.argv[2]), Killed(int(sys.argv[3])))
    else:
        fit_rank(Path(sys.argv[2]), int(sys.argv[3]), 2)
