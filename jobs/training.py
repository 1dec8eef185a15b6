"""How the training stages run their trainer: in this process, or on several workers. The same function, either way."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.local import num_processes
from jobs.config import Settings
from jobs.session import local_session, stop_file, stopped_by_signals
from pipelines.config import StudyConfig
from pipelines.pretraining.config import PretrainingConfig
from pipelines.progress import Progress
from pipelines.segmentation.config import SegmentationConfig
from storage.atomic import write_json

if TYPE_CHECKING:
    from cluster.workers import WorkerContext
    from pipelines.training.session import Session

# What a trainer needs, as JSON: on a worker it comes from a file, so that no settings show on Ray's dashboard.
Task = dict[str, Any]
FOLDER = "workers"  # below `out`: tasks, progress, and Ray's own files while it runs


def run_training(
    stage: str, settings: Settings, folder: Path, progress: Progress, part: str = "", **inputs: str
) -> dict[str, Any]:
    """Train the model of `stage` in its folder, or in the part of it that is named, and return its figures.

    inputs: paths and names that the stage's trainer reads. Raises what the trainer raises, StoppedEarly where a
    signal or the supervisor's file stops it, and RadmillError where workers were lost too often.
    """
    cluster = settings.cluster
    section = _SECTIONS[stage]
    task: Task = {
        "stage": stage,
        "folder": str(folder.resolve() / part),
        "inputs": inputs,
        section: asdict(getattr(settings, section)),
        "study": asdict(settings.study),
    }
    task[section]["threads"] = cluster.threads_per_worker or task[section]["threads"]
    if cluster.workers == 1:
        with local_session() as session:
            return _TRAINERS[stage](task, session, progress)
    cpus = _cpus_per_worker(stage, settings)
    task[section]["threads"] = task[section]["threads"] or cpus
    return _on_workers(stage, settings, folder, task, cpus, progress)


def one_ray(stage: str, settings: Settings) -> AbstractContextManager[None]:
    """What several trainings share that have workers: each would start a Ray of its own, which takes longer than
    a short training."""
    cluster = settings.cluster
    if cluster.workers == 1:
        return nullcontext()
    from cluster.local_ray import connected

    cpus = cluster.workers * _cpus_per_worker(stage, settings)
    return connected(cpus, cluster.workers * cluster.gpus_per_worker)


def _cpus_per_worker(stage: str, settings: Settings) -> int:
    """On one machine as many as there are threads, which default to the worker's share."""
    cluster = settings.cluster
    if cluster.kind != "local":
        return cluster.cpus_per_worker
    threads = cluster.threads_per_worker or int(getattr(settings, _SECTIONS[stage]).threads)
    return threads or max(1, num_processes(cluster) // cluster.workers)


def asked_workers(settings: Settings) -> dict[str, str]:
    """What a training's question says of its workers, where they are several: their number decides the bytes."""
    workers = settings.cluster.workers
    return {"workers": str(workers)} if workers > 1 else {}


def _on_workers(
    stage: str, settings: Settings, folder: Path, task: Task, cpus: int, progress: Progress
) -> dict[str, Any]:
    from cluster.workers import train_on_workers

    place = folder.resolve().parent / FOLDER
    written = place / f"{stage}.json"
    write_json(written, task)
    stop = stop_file()
    if stop is None:
        stop = place / f"{stage}.stop"
        stop.unlink(missing_ok=True)
    with stopped_by_signals(stop.touch):
        return train_on_workers(
            train_rank,
            {"task": str(written)},
            workers=settings.cluster.workers,
            cpus_per_worker=cpus,
            gpus_per_worker=settings.cluster.gpus_per_worker,
            folder=place,
            name=stage,
            max_failures=settings.cluster.max_failures,
            stop_file=stop,
            threads=task[_SECTIONS[stage]]["threads"],
            progress=progress,
        )


def train_rank(context: WorkerContext, arguments: dict[str, str]) -> dict[str, Any]:
    """One worker's part of a training; `arguments` names the file with its task."""
    from pipelines.training.session import DistributedSession

    task: Task = json.loads(Path(arguments["task"]).read_text("utf-8"))
    session = DistributedSession(
        context.rank, context.world_size, context.device, context.report, context.stop_requested
    )
    return _TRAINERS[task["stage"]](task, session, context.progress)


def _train_segmenter(task: Task, session: Session, progress: Progress) -> dict[str, Any]:
    from pipelines.segmentation.train import train_segmenter
    from storage.manifest import Store

    config, study = SegmentationConfig(**task["segmentation"]), StudyConfig(**task["study"])
    store = Store.open(Path(task["inputs"]["store"]))
    return train_segmenter(store, Path(task["folder"]), config, study, session, progress)


def _pretrain(task: Task, session: Session, progress: Progress) -> dict[str, Any]:
    from pipelines.classification.labelled import subject_outcomes
    from pipelines.classification.supervision import learnt_from
    from pipelines.pretraining.train import pretrain
    from pipelines.segmentation.stored import open_segmentation
    from storage.manifest import Store

    config, study = PretrainingConfig(**task["pretraining"]), StudyConfig(**task["study"])
    store = Store.open(Path(task["inputs"]["store"]))
    segmentation = open_segmentation(store.root, task["inputs"]["segmentation"])
    outcomes = None
    if table := task["inputs"].get("learnt_from"):
        every = subject_outcomes(store, study)
        outcomes = {subject: every[subject] for subject in learnt_from(Path(table))}
    return pretrain(store, segmentation, Path(task["folder"]), config, study, session, progress, outcomes)


_SECTIONS = {"train-segmenter": "segmentation", "pretrain": "pretraining"}
_TRAINERS: dict[str, Callable[[Task, Session, Progress], dict[str, Any]]] = {
    "train-segmenter": _train_segmenter,
    "pretrain": _pretrain,
}
