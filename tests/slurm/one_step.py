"""One step of a real run on the lab, through the code of `radmill run`; the stages before it are made here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cluster.graph import submit_graph
from jobs.compose import settings_for
from jobs.folders import held
from jobs.registry import JOBS
from jobs.steps import run_step, steps_of
from jobs.submission import Submission
from jobs.submit import run_nodes

SITE = "cluster=slurm cluster.site=lab cluster.scratch=/var/tmp cluster.dashboard=false cluster.array_width=1"


def submit_one(name: str, words: list[str]) -> tuple[Submission, str]:
    """Submit one step of `radmill run WORDS cluster=slurm`; the submission and the step's Slurm id.

    What lies finished in `out` is skipped, so several tests may share the stages before the step.
    """
    settings = settings_for(JOBS["run"], [*words, *SITE.split()])
    out, store = Path(str(settings.out)), Path(str(settings.store))
    submission = Submission.new(out, store)
    with held("run", out, store, submission=submission.id):
        submission.write(settings)
    before = [step.name for step in steps_of(settings)]
    with _undone():
        for step in before[: before.index(name)]:
            run_step(submission.out, submission.id, step)
    nodes = [replace(node, after=()) for node in run_nodes(submission, settings) if node.name == name]
    ids = submit_graph(nodes, settings.cluster, submission.folder, owner=submission.id)
    return submission, ids[name][0]


@contextmanager
def _undone() -> Iterator[None]:
    """A step sets umask, folder and environment of its process, which here is pytest's."""
    umask, folder, environment = os.umask(0o077), Path.cwd(), dict(os.environ)
    try:
        yield
    finally:
        os.umask(umask)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
