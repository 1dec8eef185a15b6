"""Ask once more for what a submitted run lacks: tasks that failed or were cancelled, and every step behind them."""

from __future__ import annotations

from pathlib import Path

from cluster.executor import whole_jobs
from cluster.graph import end_jobs, resubmit, strays
from cluster.graph_file import read_graph
from cluster.queue import job_states
from jobs.config import Settings
from jobs.folders import held
from jobs.overview import StepStatus, is_live, overview
from jobs.submission import Submission
from jobs.tasks import DONE, SKIPPED
from storage.errors import LockedError, StorageError


def main(settings: Settings) -> int:
    """`radmill retry out=DIR`: nodes that failed under the run are not used again."""
    submission = Submission.of(Path(str(settings.out)))
    with submission.submitting("retry"):
        return _retry(submission)


def _retry(submission: Submission) -> int:
    out, steps = submission.out, overview(submission)
    if is_live(steps):
        raise LockedError(
            f"Jobs of out={out} still wait or run, and ask for what they miss by themselves; radmill status out={out} "
            f"shows them. Wait until they end, or end them by radmill cancel out={out}."
        )
    if not read_graph(submission.folder).whole:
        raise StorageError(
            f"The submission from out={out} was interrupted; the same radmill run submits the rest."
        )
    lacking = [step for step in steps if step.state not in (DONE, SKIPPED)]
    if not lacking:
        print(f"Nothing is missing: every step of out={out} has ended well.")
        return 0
    _check_mendable(lacking[0])
    with held("retry", Path(out), Path(submission.store), submission=submission.id):
        submission.claim()  # and let go: the first job starts before the last is submitted
    end_jobs(strays(submission.folder))  # of a retry that was killed
    lost = lost_nodes(submission)
    after: list[str] = []
    for step in lacking:
        missing = [index for index, one in step.tasks.items() if one.state not in (DONE, SKIPPED)]
        after = resubmit(submission.folder, step.name, missing, after=after, exclude=lost, most=None)
        tasks = f", {len(missing)} of {len(step.tasks)} tasks" if len(step.tasks) > 1 else ""
        print(f"{step.name} once more{tasks}: Slurm {', '.join(whole_jobs(after))}")
    if lost:
        print(f"Without {', '.join(lost)}, which failed before.")
    return 0


def lost_nodes(submission: Submission) -> list[str]:
    """Nodes that Slurm lost under a job of this run; of several nodes of one job it does not tell which."""
    graph = read_graph(submission.folder)
    states = job_states([one for node in graph.nodes.values() for one in node.ids])
    return sorted(set().union(*(one.lost_nodes for one in states.values())))


def _check_mendable(step: StepStatus) -> None:
    """Raise StorageError where the same would be refused again."""
    for one in step.tasks.values():
        if one.record is not None and one.record.users:
            raise StorageError(
                f"{step.name} refused what it was given: {one.words} Mend that, then the same radmill run goes on."
            )
