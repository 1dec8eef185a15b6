"""`run ... cluster=slurm`: the whole way as jobs that wait for one another; then the shell may go."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cluster.executor import whole_jobs
from cluster.graph import Node, submit_graph
from cluster.graph_file import read_graph
from cluster.ray_cluster import RayJob
from cluster.ray_spec import spec_of
from cluster.resources import Resources, task_resources, worker_resources
from cluster.resumable import Resumable
from cluster.script import check_submission, sbatch_text
from jobs.config import Settings
from jobs.folders import held
from jobs.job import PATHS
from jobs.progress import console
from jobs.steps import Step, run_step, steps_of
from jobs.submission import FOLDER, Submission
from storage.errors import InputError
from storage.wording import counted


def submit(settings: Settings, claim: Callable[[], None]) -> int:
    """Submit every step and print what was submitted; returns at once.

    claim: makes `out` this run's, once its lock is held. A submitter that was killed half-way goes on, if the same is
    asked; jobs that live otherwise refuse another submission (LockedError).
    """
    settings = _absolute(settings)
    out, store = Path(str(settings.out)), Path(str(settings.store))
    check_accepted(settings)
    begun = _interrupted(out, settings)
    with ExitStack() as submitting:
        # Only to claim the folders: the first jobs start, and want them, before the last are submitted.
        with held("run", out, store, submission=begun.id if begun else ""):
            claim()
            submission = begun or Submission.new(out, store)
            if not begun:
                submission.write(settings)
            submitting.enter_context(submission.submitting("run"))
            submission.claim()
        nodes = run_nodes(submission, settings)
        ids = submit_graph(nodes, settings.cluster, submission.folder, owner=submission.id)
    for node in nodes:
        console.print(f"{node.name:16} {_described(node, ids[node.name])}", markup=False)
    console.print(
        f"Submitted; this shell may go. radmill status out={out} tells how far it is, radmill logs out={out} what "
        f"it says, radmill cancel out={out} ends it.",
        markup=False,
    )
    return 0


def run_nodes(submission: Submission, settings: Settings) -> list[Node]:
    """The graph of a run: each step after the one before it."""
    nodes: list[Node] = []
    for step in steps_of(settings):
        resources = _resources(step, settings)
        task = (submission.out, submission.id, step.name)
        job = _ray_job(submission, step, settings) if step.learns else Resumable(run_step)
        nodes.append(
            Node(
                name=step.name,
                function=job,
                arguments=() if step.learns else task,
                width=settings.cluster.array_width if step.array else 0,
                resources=resources,
                after=(nodes[-1].name,) if nodes else (),
                ray=step.learns,
            )
        )
    return nodes


def planned(settings: Settings) -> list[tuple[Node, str]]:
    """Every node with the sbatch script that it would be submitted by; writes nothing and needs no Slurm."""
    settings = _absolute(settings)
    submission = Submission.new(Path(str(settings.out)), Path(str(settings.store)))
    return [
        (node, sbatch_text(node, settings.cluster, submission.folder))
        for node in run_nodes(submission, settings)
    ]


def check_accepted(settings: Settings) -> None:
    """Ask Slurm, without submitting, whether it would take every node; ConfigError or ClusterError where not."""
    asked = set()
    for node, text in planned(settings):
        if (node.resources, node.ray) not in asked:  # more than its resources Slurm does not judge
            check_submission(text, settings.cluster, node.resources)
        asked.add((node.resources, node.ray))


def _ray_job(submission: Submission, step: Step, settings: Settings) -> RayJob:
    """A training on a Ray cluster of its own; that it goes on shows in its checkpoints."""
    checkpoints = f"../../{step.stage}/**/checkpoints/step-*"  # SupCon's lie in a folder for each encoder
    spec = spec_of(settings.cluster, submission.folder / step.name, progress=checkpoints)
    return RayJob(spec, [sys.executable, "-m", "jobs.step", submission.out, submission.id, step.name])


def _resources(step: Step, settings: Settings) -> Resources:
    if step.learns:
        return worker_resources(settings.cluster)
    return task_resources(settings.cluster, gpus=step.infers)


def _absolute(settings: Settings) -> Settings:
    """The same with absolute paths: a step runs wherever Slurm puts it."""
    settings = replace(settings)
    for key in PATHS:
        if (path := getattr(settings, key)) is not None:
            setattr(settings, key, str(Path(path).absolute()))
    return settings


def _interrupted(out: Path, settings: Settings) -> Submission | None:
    """The submission that did not get to its end and was not cancelled, if the same is submitted again."""
    try:
        graph, submission = read_graph(out / FOLDER), Submission.of(out)
    except InputError:
        return None
    same = not graph.whole and graph.owner == submission.id and submission.settings() == settings
    return submission if same else None


def _described(node: Node, ids: list[str]) -> str:
    """Tasks, Slurm ids and resources in words."""
    asked = node.resources
    tasks = counted(node.width or 1, "task")
    gpus = f", {counted(asked.gpus_per_node, 'GPU')}" if asked.gpus_per_node else ""
    return (
        f"{tasks:9} Slurm {', '.join(whole_jobs(ids))}: {counted(asked.nodes, 'node')} of "
        f"{counted(asked.cpus_per_task, 'CPU')}{gpus}, {asked.memory_gb:g} GB, {asked.timeout_min} min"
    )
