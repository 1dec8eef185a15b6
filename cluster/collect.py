"""Waiting for submitted functions: a result, or the reason why there is none."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.queue import GONE, job_states

if TYPE_CHECKING:
    import submitit

_SETTLES_S = 30  # a shared folder may show the result of a task that has ended this late
_ASKS_EVERY_S = (2.0, 60.0)  # the scheduler is asked for states more and more rarely
_LOOKS_EVERY_S = 0.2


def collect(jobs: Mapping[int, submitit.Job[Any]]) -> tuple[dict[int, Any], dict[int, str]]:
    """Wait until every job has ended: results and, of those without one, the reason, both by index."""
    results: dict[int, Any] = {}
    failures: dict[int, str] = {}
    for index, job, state in _as_they_end(jobs):
        value, failure = _settled(job, state)
        if failure is None:
            results[index] = value
        else:
            failures[index] = failure
    return results, failures


def _as_they_end(jobs: Mapping[int, submitit.Job[Any]]) -> Iterator[tuple[int, submitit.Job[Any], str]]:
    """(index, job, the scheduler's word) in the order in which they end."""
    waiting = dict(jobs)
    states: dict[int, str] = {}  # as the scheduler told them last
    given_up: dict[int, float] = {}
    asked, pause = time.monotonic(), _ASKS_EVERY_S[0]
    while waiting:
        names = {path: _names(path) for path in {job.paths.folder for job in waiting.values()}}
        now = time.monotonic()
        for index, job in list(waiting.items()):
            if _ended_here(job, names[job.paths.folder]) or now > given_up.get(index, math.inf):
                yield index, waiting.pop(index), states.get(index, "")
        if waiting and time.monotonic() - asked > pause:
            for index, state in _finished_on_slurm(waiting).items():
                before, states[index] = states.get(index), state
                if state == GONE and before != GONE:
                    continue  # told twice, or it is not sure
                # Only a task that says it completed owes a result, which a shared folder may show late.
                late = _SETTLES_S if state == "COMPLETED" else 1
                given_up.setdefault(index, time.monotonic() + late)
            asked, pause = time.monotonic(), min(1.5 * pause, _ASKS_EVERY_S[1])
        if waiting:
            time.sleep(_LOOKS_EVERY_S)


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - names alone, of thousands of files
    except FileNotFoundError:
        return set()


def _ended_here(job: submitit.Job[Any], names: set[str]) -> bool:
    import submitit

    if isinstance(job, submitit.LocalJob):
        return job.done() and not _lives(job)
    return isinstance(job, submitit.DebugJob) or job.paths.result_pickle.name in names


def _lives(job: submitit.Job[Any]) -> bool:
    """Whether a process that another submitter started still works for this folder."""
    try:
        words = Path("/proc", job.job_id, "cmdline").read_bytes()
    except OSError:
        return False
    return str(job.paths.folder).encode() in words


def _finished_on_slurm(waiting: Mapping[int, submitit.Job[Any]]) -> dict[int, str]:
    import submitit

    ids = {index: job.job_id for index, job in waiting.items() if isinstance(job, submitit.SlurmJob)}
    states = job_states(ids.values())
    return {index: states[one].state for index, one in ids.items() if states[one].finished}


def _settled(job: submitit.Job[Any], state: str) -> tuple[Any, str | None]:
    """The function's value and None, or None and why there is no value."""
    import submitit
    from submitit.core.utils import pickle_load

    if isinstance(job, submitit.DebugJob):
        error = job.exception()
        return (None, _reason(str(error))) if error else (job.result(), None)
    if not job.paths.result_pickle.exists():
        said = job.stderr() or "it left no error message"
        return None, f"{state.lower() or 'ended without a result'}: {_reason(said)}"
    kind, value = pickle_load(job.paths.result_pickle)
    return (value, None) if kind == "success" else (None, _reason(value))


def _reason(text: str) -> str:
    """The line that names the reason: the first of slurmstepd's, else the very last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    stepd = [line for line in lines if re.match(r"slurmstepd\S*: error", line)]
    reason = (stepd[:1] or lines[-1:] or ["it gave no reason"])[0]
    return re.sub(r"^(slurmstepd\S*|srun): (error: )?", "", reason)
