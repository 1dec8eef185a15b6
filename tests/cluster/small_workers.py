"""Functions that the tests run on workers; imported there by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from small_fit import SmallLearner, config

from cluster.workers import WorkerContext
from pipelines.training.loop import fit, save_weights
from pipelines.training.session import DistributedSession, LocalSession, Session, StoppedEarly
from storage.errors import InputError


class Disturbed(DistributedSession):
    """Rank 1 is killed, or the stop file made, once, at a step's edge."""

    def __init__(self, context: WorkerContext, arguments: dict[str, Any]) -> None:
        super().__init__(
            context.rank, context.world_size, context.device, context.report, context.stop_requested, 0.0
        )
        self._arguments = arguments

    def should_stop(self, step: int) -> bool:
        folder = Path(self._arguments["folder"])
        if self.rank == 1 and step == self._arguments.get("kill_at"):
            marker = folder / "killed"
            if self._arguments.get("again") or not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if self.rank == 0 and step == self._arguments.get("stop_at"):
            Path(self._arguments["stop_file"]).touch()
        stopped = super().should_stop(step)
        with (folder / f"asked-{self.rank}").open("a") as asked:
            asked.write(f"{step} {stopped}\n")
        return stopped


def fit_small(context: WorkerContext, arguments: dict[str, Any]) -> dict[str, Any]:
    """The plain learner's fit in arguments["folder"]."""
    return fit_on(Disturbed(context, arguments), Path(arguments["folder"]), context.progress)


def fit_here(folder: Path) -> dict[str, Any]:
    """The same in this process."""
    return fit_on(LocalSession("cpu"), folder, lambda done, total, note: None)


def fit_on(session: Session, folder: Path, progress: Any) -> dict[str, Any]:
    torch.set_num_threads(1)
    learner = SmallLearner(plain=True)
    result = fit(learner, config(checkpoint_every_steps=2), session, folder, "000001", progress)
    if result.stopped:
        raise StoppedEarly(result.steps, 10)
    if session.rank == 0:
        save_weights(learner.model, folder / "model.safetensors")
        save_file(dict(result.best), folder / "best.safetensors")
    return {"steps": result.steps, "world_size": session.world_size}


def raises(context: WorkerContext, arguments: dict[str, Any]) -> dict[str, Any]:
    """The last rank makes a mistake while the others wait for it."""
    if context.rank == context.world_size - 1:
        if arguments["kind"] == "user":
            raise InputError("films=abc does not exist; name an existing folder.")
        raise ValueError("a mistake of ours")
    Disturbed(context, arguments | {"folder": arguments["folder"]}).report({})
    return {}


def stops_alone(context: WorkerContext, arguments: dict[str, Any]) -> dict[str, Any]:
    """Rank 0 is stopped in its preparation while the others wait for it."""
    session = Disturbed(context, arguments)
    if context.rank == 0:
        raise StoppedEarly(0, 10)
    session.report({})
    return {}
