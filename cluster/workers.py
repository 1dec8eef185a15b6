"""One function on several workers at once: Ray Train around a training loop that knows nothing of Ray.

Ray makes the process group, counts the workers and notices who died. Checkpoints are the function's own: a group
that lost a worker is started again, and the function goes on from what it has saved. Ray sees metrics alone.
"""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from cluster.beside import POLL_S, beside
from cluster.local_ray import connected
from storage.atomic import write_text
from storage.errors import ConfigError, RadmillError

Arguments = dict[str, Any]
Progress = Callable[[int, int, str], None]

PROGRESS_S = 1.0  # between two lines that rank 0 writes of how far it is
_COLLECTIVE_TIMEOUT_S = 24 * 3600  # rank 0 may prepare for hours while the others wait; Ray notices the dead
_START_ATTEMPTS = 3
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class WorkerContext:
    """What a worker's function is told, and how it talks back."""

    rank: int
    world_size: int
    device: str
    """cpu, or cuda:0 and the like."""
    stop_file: Path | None
    progress_file: Path
    _looked: float = field(default=-float("inf"), repr=False)
    _stop: bool = field(default=False, repr=False)
    _told: float = field(default=-float("inf"), repr=False)

    def report(self, metrics: dict[str, float]) -> None:
        """Hand metrics to Ray, for its dashboard; every rank calls it equally often, and not every step."""
        import ray.train

        ray.train.report(metrics)

    def stop_requested(self) -> bool:
        """True once the stop file is there; looked for at most every half second."""
        now = time.monotonic()
        if self.stop_file is not None and not self._stop and now - self._looked >= POLL_S:
            self._looked, self._stop = now, self.stop_file.exists()
        return self._stop

    def progress(self, done: int, total: int, note: str) -> None:
        """Rank 0 tells the driver how far it is, by a file and at most once a second."""
        now = time.monotonic()
        if self.rank == 0 and (now - self._told >= PROGRESS_S or done == total):
            self._told = now
            write_text(self.progress_file, json.dumps([done, total, note]))


def train_on_workers(
    function: Callable[[WorkerContext, Arguments], Arguments],
    arguments: Arguments,
    *,
    workers: int,
    cpus_per_worker: int,
    gpus_per_worker: int,
    folder: Path,
    name: str,
    max_failures: int,
    stop_file: Path | None,
    threads: int = 0,
    progress: Progress = lambda done, total, note: None,
) -> Arguments:
    """Run `function(context, arguments)` on every worker and return what rank 0 returned.

    function: importable by its name on every node; arguments: JSON values. gpus_per_worker: 0 takes one each
    where Ray has enough. threads: of libraries that ask OMP_NUM_THREADS; 0 is as many as CPUs.
    folder: seen by every node; `<name>.progress.json` and, while it runs, Ray's own files lie there.
    max_failures: how often the group may lose a worker and be started again; -1 is without bound.

    Raises:
        RadmillError: what a worker raised as such, unchanged (StoppedEarly too); or the workers failed otherwise.
        ConfigError: Ray has less room than these workers need.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / f"{name}.progress.json"
    task = {
        "function": f"{function.__module__}:{function.__qualname__}",
        "arguments": json.loads(json.dumps(arguments)),
        "stop_file": None if stop_file is None else str(stop_file.absolute()),
        "progress_file": str(told),
    }
    with connected(workers * cpus_per_worker, workers * gpus_per_worker):
        gpus = _check_room(workers, cpus_per_worker, gpus_per_worker)
        for attempt in itertools.count(1):
            told.unlink(missing_ok=True)
            shutil.rmtree(folder / name, ignore_errors=True)  # Ray would resume from its own notes there
            trainer = _trainer(task, workers, cpus_per_worker, gpus, threads or cpus_per_worker, folder, name)
            try:
                found: Arguments = beside(trainer.fit, "ray-train", _Relay(told, progress)).return_value
                return found
            except Exception as error:
                _raise_users(error)
                if _is_bound_reached(error, attempt, max_failures):
                    raise _failed(error, folder, name, attempt) from None
                _log.warning("%s lost a worker and goes on from its newest checkpoint.", name)
            finally:
                shutil.rmtree(folder / name, ignore_errors=True)
    raise AssertionError("the attempts are counted without end")


def run_worker(task: Arguments) -> Arguments | None:
    """What Ray calls on every worker; returns rank 0's result."""
    import ray.train
    from ray.train.torch import get_device

    place = ray.train.get_context()
    context = WorkerContext(
        rank=place.get_world_rank(),
        world_size=place.get_world_size(),
        device=str(get_device()),
        stop_file=None if task["stop_file"] is None else Path(task["stop_file"]),
        progress_file=Path(task["progress_file"]),
    )
    found: Arguments = named(task["function"])(context, task["arguments"])
    return found if context.rank == 0 else None


def named(dotted: str) -> Callable[..., Any]:
    """The function `package.module:name`."""
    module, _, name = dotted.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _trainer(
    task: Arguments, workers: int, cpus: int, gpus: int, threads: int, folder: Path, name: str
) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    return TorchTrainer(
        run_worker,
        train_loop_config=task,
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo", timeout_s=_COLLECTIVE_TIMEOUT_S),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": cpus, **({"GPU": gpus} if gpus else {})},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            name=name,
            storage_path=str(folder),
            # who may try again is decided here: Ray would repeat a user's mistake as well
            failure_config=FailureConfig(
                max_failures=0, max_preemption_failures=0, controller_failure_limit=_START_ATTEMPTS
            ),
            worker_runtime_env={"env_vars": {name: str(threads) for name in _THREADS}},
        ),
    )


class _Relay:
    """Hands on what rank 0 last wrote of its progress."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path, self._progress, self._last = path, progress, ""

    def __call__(self) -> None:
        with suppress(OSError):
            text = self._path.read_text("utf-8")
            if text != self._last:
                self._last = text
                self._progress(*json.loads(text))


def _check_room(workers: int, cpus: int, gpus: int) -> int:
    """GPUs of each worker; ConfigError where Ray, as it stands, can't hold them all."""
    import ray

    here = ray.cluster_resources()
    if gpus == 0 and here.get("GPU", 0) >= workers:
        gpus = 1
    for kind, each, key in (("CPU", cpus, "cpus_per_worker"), ("GPU", gpus, "gpus_per_worker")):
        has = here.get(kind, 0)
        if workers * each > has:
            raise ConfigError(
                f"cluster.workers={workers} with cluster.{key}={each} needs {workers * each} {kind}s, but Ray has"
                f" {has:.0f} here; lower one of them."
            )
    return gpus


def _raise_users(error: Exception) -> None:
    """Raise what a worker raised for the user's eyes, if any did; what its peers say is only its echo."""
    for _, failure in sorted(getattr(error, "worker_failures", {}).items()):
        cause = getattr(failure, "_base_exc", failure)
        if isinstance(cause, RadmillError):
            raise cause from None


def _is_bound_reached(error: Exception, attempt: int, max_failures: int) -> bool:
    """True for anything but a lost worker, and where too many were lost."""
    lost = bool(getattr(error, "worker_failures", {}))
    return not lost or 0 <= max_failures < attempt


def _failed(error: Exception, folder: Path, name: str, attempts: int) -> RadmillError:
    """A sentence for an error that no user made; Ray's whole story goes into a file."""
    story = folder / f"{name}.error.txt"
    write_text(story, f"{error}\n")
    failures = sorted(getattr(error, "worker_failures", {}).items())
    dead = [rank for rank, failure in failures if hasattr(failure, "health_check_failure")]
    if dead:
        what = f"worker {dead[0]} died"
    else:
        whose, last = (f"worker {failures[0][0]}", failures[0][1]) if failures else ("Ray", error)
        what = f"{whose}: {(str(last).strip().splitlines() or ['no word'])[-1]}"
    return RadmillError(
        f"{name} failed on its workers in attempt {attempts} ({what});"
        f" {story} has it in full. The same command goes on from the newest checkpoint."
    )
