"""What a task of a step says of itself, for `status` and the steps after it: OUT/cluster/tasks/<step>-<index>.json.

The file is written whole, at the start, every 30 s, and at the end. It names the task's job and restart: an attempt
that a later one has followed finds another's name there and ends, so that a node cut off from the network, and back
again, writes nothing more.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from storage.atomic import write_json
from storage.errors import LockedError

EVERY_S = 30.0
RUNNING, DONE, SKIPPED, FAILED = "running", "done", "skipped", "failed"
STOPPED, ASKS = "stopped", "asks again"


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """One attempt at a task; times in seconds since the epoch."""

    submission: str
    step: str
    index: int
    job: str
    restarts: int
    host: str
    pid: int
    state: str = RUNNING
    done: int = 0
    total: int = 0
    note: str = ""
    since: float
    updated: float
    seconds: float = 0.0
    peak_mb: float = 0.0
    said: str = ""
    """The line that it ended with: what came out, or the error's sentence."""
    users: bool = False
    """The error is the user's: another try would end alike."""

    @property
    def ended_well(self) -> bool:
        """Whether its work is there."""
        return self.state in (DONE, SKIPPED)


def read_task(folder: Path, step: str, index: int = 0) -> TaskRecord | None:
    """The newest attempt's record; None where none has begun. folder: OUT/cluster."""
    return _read(_path(folder, step, index))


def read_tasks(folder: Path, step: str, submission: str) -> dict[int, TaskRecord]:
    """Index -> record, of one submission."""
    records = [_read(path) for path in sorted((folder / "tasks").glob(f"{step}-[0-9]*.json"))]
    return {one.index: one for one in records if one is not None and one.submission == submission}


class Task:
    """Keeps the record of this attempt; itself a Progress listener."""

    def __init__(self, folder: Path, submission: str, step: str, index: int) -> None:
        """folder: OUT/cluster. Raises LockedError where a later attempt of this job has begun."""
        job, restarts = job_id(), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        before = read_task(folder, step, index)
        if before is not None and before.job == job != "" and before.restarts > restarts:
            raise LockedError(_overtaken(before))
        now = time.time()
        self._path = _path(folder, step, index)
        self.record = TaskRecord(
            submission=submission,
            step=step,
            index=index,
            job=job,
            restarts=restarts,
            host=socket.gethostname(),
            pid=os.getpid(),
            since=now,
            updated=now,
        )
        write_json(self._path, asdict(self.record))

    def __call__(self, done: int, total: int, note: str) -> None:
        """Progress: into the file every 30 s."""
        self.record = replace(self.record, done=done, total=total, note=note)
        if time.time() - self.record.updated >= EVERY_S:
            self._write()

    def check_newest(self) -> None:
        """Raise LockedError where another attempt at this task has begun since."""
        now = _read(self._path)
        if now is not None and _who(now) != _who(self.record):
            raise LockedError(_overtaken(now))

    def end(self, state: str, said: str, seconds: float, peak_mb: float, users: bool = False) -> None:
        """How the attempt ended; LockedError where it is not the newest any more."""
        self.record = replace(
            self.record, state=state, said=said, seconds=seconds, peak_mb=peak_mb, users=users
        )
        self._write()

    def _write(self) -> None:
        self.check_newest()
        self.record = replace(self.record, updated=time.time())
        write_json(self._path, asdict(self.record))


def job_id() -> str:
    """The Slurm id of this process' job or array task; empty outside of Slurm."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID", "")


def _path(folder: Path, step: str, index: int) -> Path:
    return folder / "tasks" / f"{step}-{index:05d}.json"


def _read(path: Path) -> TaskRecord | None:
    return TaskRecord(**json.loads(path.read_text())) if path.is_file() else None


def _who(record: TaskRecord) -> tuple[str, int, str, int]:
    return record.job, record.restarts, record.host, record.pid


def _overtaken(by: TaskRecord) -> str:
    job = f"job {by.job}, restart {by.restarts}" if by.job else f"process {by.pid}"
    return f"{by.step} {by.index} was begun anew on {by.host} ({job}): this attempt ends and leaves it to that one."
