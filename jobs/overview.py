"""How a submitted run stands, step by step, from what its tasks have written and what Slurm says; any shell may ask."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cluster.attempts import read
from cluster.graph import MOST_TRIES_AGAIN
from cluster.graph_file import Graph, Submitted, read_graph
from cluster.queue import UNKNOWN, JobState, job_states, node_hours
from jobs.submission import Submission
from jobs.tasks import ASKS, DONE, FAILED, RUNNING, SKIPPED, STOPPED, TaskRecord, read_tasks

WAITING = "waiting"
_SILENT_S = 300.0  # a running task writes every 30 s
# Slurm's word for an end -> ours.
_ENDS = {
    "CANCELLED": "was cancelled",
    "TIMEOUT": "reached its time limit",
    "NODE_FAIL": "lost its node",
    "OUT_OF_MEMORY": "took more memory than it asked for",
    "PREEMPTED": "was preempted and not started again",
    "DEADLINE": "missed its deadline",
    "BOOT_FAIL": "lost its node at start",
}


@dataclass(frozen=True, kw_only=True)
class TaskStatus:
    """One task. state: waiting, running, done, skipped or failed; words: why, or what came out."""

    state: str
    words: str = ""
    since: float | None = None
    record: TaskRecord | None = None
    job: str = ""


@dataclass(frozen=True, kw_only=True)
class StepStatus:
    """One step. node_hours: of all its attempts; log: of the task that matters most, as far as it is there."""

    name: str
    state: str
    tasks: dict[int, TaskStatus]
    words: str
    since: float | None
    node_hours: float
    log: Path | None

    @property
    def counts(self) -> str:
        """How far it is: tasks of an array, and what they count."""
        ended = sum(one.state in (DONE, SKIPPED) for one in self.tasks.values())
        records = [one.record for one in self.tasks.values() if one.record is not None]
        done, total = (sum(getattr(one, name) for one in records) for name in ("done", "total"))
        parts = [f"{ended} of {len(self.tasks)} tasks"] if len(self.tasks) > 1 else []
        if total and self.state != SKIPPED:
            parts.append(f"{done:,} of {total:,}")
        return ", ".join(parts)


def overview(submission: Submission) -> list[StepStatus]:
    """Every step that was submitted, in order. Raises InputError where nothing was."""
    graph = read_graph(submission.folder)
    folders = [submission.folder / name for name in graph.nodes]
    ids = [one for node in graph.nodes.values() for one in node.ids]
    states = job_states(ids, folders) if graph.config.kind == "slurm" else {}
    steps = {node.name: _step(submission, graph, node, states) for node in graph.nodes.values()}
    return [_asked_again(step, graph, steps) for step in steps.values()]


def is_live(steps: Iterable[StepStatus]) -> bool:
    """Whether something still waits or runs."""
    return any(step.state in (WAITING, RUNNING) for step in steps)


def log_of(folder: Path, job: str) -> Path | None:
    """What a job printed, errors first; folder: of its step. A task that was started again goes on in the same file."""
    for kind in ("err", "out"):
        path = folder / f"{job}_0_log.{kind}"
        if path.is_file() and path.stat().st_size:
            return path
    return None


def _step(submission: Submission, graph: Graph, node: Submitted, states: dict[str, JobState]) -> StepStatus:
    records = read_tasks(submission.folder, node.name, submission.id)
    tasks = {
        index: _task(job, states.get(job, JobState()), records.get(index))
        for index, job in sorted(node.latest.items())
    }
    state = _common(tasks.values())
    first = next((one for one in tasks.values() if one.state == state), None)
    spent = {job: states[job] for job in node.ids if job in states}
    told = supervisor_said(submission.folder / node.name, first.job) if first and state == FAILED else ""
    return StepStatus(
        name=node.name,
        state=state,
        tasks=tasks,
        words=told or _words(tasks, state, node),
        since=first.since if first else None,
        node_hours=node_hours(spent),
        log=log_of(submission.folder / node.name, first.job) if first else None,
    )


def _asked_again(step: StepStatus, graph: Graph, steps: dict[str, StepStatus]) -> StepStatus:
    """An array that failed has not failed for good while the step that finds gaps in its work is still to come."""
    node = graph.nodes[step.name]
    mistaken = any(one.record is not None and one.record.users for one in step.tasks.values())
    if step.state != FAILED or not node.width or mistaken or len(node.tries) > MOST_TRIES_AGAIN:
        return step
    live = [name for name, one in graph.nodes.items() if step.name in one.after and is_live([steps[name]])]
    if not live:
        return step
    return replace(step, state=WAITING, words=f"{step.words}; {live[0]} asks for them again")


def supervisor_said(folder: Path, job: str) -> str:
    """Why the supervisor of a job on a Ray cluster ended its last attempt; empty for other jobs."""
    events = [one for one in read(folder / "attempts.jsonl") if str(one.get("job")) == job]
    ends = [one for one in events if one.get("event") in ("begin", "end", "requeue")]
    return str((ends[-1].get("complaint") or ends[-1].get("sentence") or "") if ends else "")


def _task(job: str, slurm: JobState, record: TaskRecord | None) -> TaskStatus:
    """What is on disk counts for work that is done; what still lives, Slurm knows better."""
    if record is not None and record.ended_well:
        words = record.said if record.state == DONE else f"nothing changed: {record.said}".rstrip(": ")
        return TaskStatus(state=record.state, words=words, since=record.updated, record=record, job=job)
    if slurm.state in ("PENDING", "REQUEUED", "CONFIGURING", "SUSPENDED"):
        return TaskStatus(state=WAITING, words=slurm.reason, record=record, job=job)
    if slurm.state == UNKNOWN:
        return _unknown(job, record)
    if not slurm.finished:
        words = f"on {slurm.node}" if slurm.node else slurm.reason
        return TaskStatus(state=RUNNING, words=words, since=_seconds(slurm.start), record=record, job=job)
    # Who asks is submitted again before it ends: where the latest try has ended asking, nobody follows.
    said = record.said if record is not None and record.state in (FAILED, STOPPED, ASKS) else ""
    how = _ENDS.get(slurm.state, "ended without its work" if slurm.state == "COMPLETED" else "failed")
    where = f" on {slurm.node}" if slurm.node else ""
    since = record.updated if record is not None else None
    return TaskStatus(state=FAILED, words=said or f"{how}{where}", since=since, record=record, job=job)


def _unknown(job: str, record: TaskRecord | None) -> TaskStatus:
    """Neither Slurm nor submitit's files tell: the task's own record is all there is."""
    if record is None:
        return TaskStatus(state=WAITING, words="Slurm can't be asked here", job=job)
    if record.state in (FAILED, ASKS):
        state = FAILED if record.state == FAILED else WAITING
        return TaskStatus(state=state, words=record.said, since=record.updated, record=record, job=job)
    silent_s = time.time() - record.updated
    words = f"on {record.host}"
    if silent_s > _SILENT_S:
        words += (
            f", silent for {silent_s / 60:.0f} minutes: if it does not go on, radmill retry asks for it again"
        )
    return TaskStatus(state=RUNNING, words=words, since=record.since, record=record, job=job)


def _common(tasks: Iterable[TaskStatus]) -> str:
    """The step's state: while one task lives, the step does."""
    found = {one.state for one in tasks}
    return next((one for one in (RUNNING, WAITING, FAILED, DONE) if one in found), SKIPPED)


def _words(tasks: dict[int, TaskStatus], state: str, node: Submitted) -> str:
    """What most of the tasks in this state say; waiting for a step before is told by its name."""
    said = Counter(one.words for one in tasks.values() if one.state == state)
    words = said.most_common(1)[0][0] if said else ""
    if state == WAITING and words == "waits for the step before it" and node.after:
        words = f"waits for {', '.join(node.after)}"
    if state in (DONE, SKIPPED) and node.width:
        return ""
    failed = [index for index, one in tasks.items() if one.state == FAILED]
    if failed and node.width:
        listed = ", ".join(map(str, failed[:10])) + (" ..." if len(failed) > 10 else "")
        words = f"{words}; tasks that failed: {listed}" if state != FAILED else f"tasks {listed}: {words}"
    return words


def _seconds(start: str) -> float | None:
    try:
        return datetime.fromisoformat(start).timestamp()
    except ValueError:
        return None
