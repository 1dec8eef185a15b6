"""One more attempt of a Slurm job: whether, and how."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.failures import REQUEUE, Failure
from cluster.ray_spec import RaySpec

_TRIES, _PATIENCE_S = 3, 20.0


def refusal(spec: RaySpec, events: Sequence[Mapping[str, Any]], failure: Failure) -> str:
    """Why the job gets no further attempt, as a sentence; empty if it gets one.

    events: of this job, from attempts.jsonl. Every attempt writes `begin` with its progress, whatever ends it. In
    one's own allocation several commands may each write theirs: an attempt begins with the first.
    """
    if failure not in REQUEUE:
        return f"Another attempt would not mend it ({failure})."
    first: dict[int, int] = {}
    for event in events:
        if event.get("event") == "begin":
            first.setdefault(int(event["restart"]), int(event["progress"]))
    begins = [first[restart] for restart in sorted(first)]
    timeouts = sum(event.get("event") == "end" and event.get("failure") == "timeout" for event in events)
    if failure is Failure.TIMEOUT and timeouts >= spec.max_timeouts:
        return f"The time limit was reached {timeouts + 1} times and cluster.max_timeouts is {spec.max_timeouts}."
    if len(begins) >= spec.max_attempts:
        return f"There were {len(begins)} attempts and cluster.max_attempts is {spec.max_attempts}."
    here = spec.progress_now()
    standing = 0
    for progress in reversed(begins):
        if progress != here:  # less: it got on since; more: the work was set aside since, and begun anew
            break
        standing += 1
    if standing >= spec.max_without_progress:
        return f"{standing} attempts in a row ended where they began, at {here}."
    return ""


def requeue(job: str, restart: int) -> str:
    """`scontrol requeue`, the last act: Slurm ends the job's processes within milliseconds.

    Returns why it was not done, as a sentence; empty if it was. Asks first whether the job still runs this very
    attempt: a node that was cut off must not end the attempt that followed.
    """
    complaint = ""
    for _ in range(_TRIES):
        shown, complaint = _scontrol("show", "job", "-o", job)
        if shown:
            fields = dict(re.findall(r"(\w+)=(\S*)", shown))
            if fields.get("BatchFlag") != "1":
                return "An allocation by salloc can't be requeued: start the same command again to go on."
            if int(fields.get("Restarts", 0)) != restart or fields.get("JobState") != "RUNNING":
                return f"Slurm has decided already: the job is {fields.get('JobState')}."
            _, complaint = _scontrol("requeue", job)
            if not complaint:
                return ""
        time.sleep(1)
    return f"scontrol could not requeue the job: {complaint}"


def claim(folder: Path) -> bool:
    """True for the first caller alone: several agents may find out at once that the head is gone."""
    try:
        os.close(os.open(folder / "requeue", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def end_time(job: str) -> float:
    """When the job reaches its time limit, in seconds since 1970; infinite if it has none or Slurm does not say.

    To be asked early: a preemption moves this time to the end of its grace.
    """
    try:
        command = ["squeue", "--noheader", "--jobs", job, "--format", "%e"]
        shown = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        ).stdout
        return time.mktime(time.strptime(shown.strip(), "%Y-%m-%dT%H:%M:%S"))
    except (OSError, subprocess.SubprocessError, ValueError):
        return float("inf")


def _scontrol(*words: str) -> tuple[str, str]:
    """(stdout, complaint)."""
    try:
        done = subprocess.run(["scontrol", *words], capture_output=True, text=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.SubprocessError) as error:
        return "", str(error)
    return done.stdout, "" if done.returncode == 0 else (
        done.stderr.strip() or f"exit code {done.returncode}"
    )
