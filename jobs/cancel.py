"""End a submitted run: every job of it that waits or runs."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from cluster.commands import ask
from cluster.executor import no_slurm, whole_jobs
from cluster.graph_file import close_graph
from jobs.config import Settings
from jobs.submission import Submission, live_jobs
from storage.errors import ClusterError
from storage.wording import counted

_PATIENCE_S = 90.0  # Slurm gives a job KillWait, 30 s unless configured, between TERM and KILL
_ASKS_EVERY_S = 2.0


def main(settings: Settings) -> int:
    """`radmill cancel out=DIR`: what is finished stays, and the same `radmill run` goes on from there."""
    out = Path(str(settings.out))
    submission = Submission.of(out)
    with submission.submitting("cancel"):
        live = _ended(submission)
    print(
        f"Ended {counted(len(live), 'job')}; what is finished stays, and the same radmill run goes on from there."
        if live
        else f"No job of out={out} waits or runs; there was nothing to end."
    )
    return 0


def _ended(submission: Submission) -> list[str]:
    """End the jobs, and let nothing be submitted behind them; their ids."""
    live = live_jobs(Path(submission.out))
    if live and shutil.which("scancel") is None:
        raise no_slurm()
    if live and ask(["scancel", *whole_jobs(live)]) is None and ask(["squeue", "-h"]) is None:
        raise ClusterError("Slurm does not answer; try again later, or ask who runs the cluster.")
    deadline = time.monotonic() + _PATIENCE_S
    while left := live_jobs(Path(submission.out)) if live else []:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Slurm jobs {', '.join(whole_jobs(left))} have not ended, so the folders stay theirs; "
                f"run radmill cancel out={submission.out} again, or ask who runs the cluster."
            )
        time.sleep(_ASKS_EVERY_S)
        ask(["scancel", *whole_jobs(left)])  # a step that was ending may have asked for tasks that it missed
    close_graph(submission.folder)
    submission.release()
    return live
