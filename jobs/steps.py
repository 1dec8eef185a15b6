"""Every step of a submitted run, in order, as functions that a scheduler calls: run_step(out, submission, step, index).

A step begins where those before it have ended, however they ended (Slurm's `afterany`), so it first looks whether
what it needs is there. Tasks of the array before it that left nothing are asked for again, twice at most; what then
is missing ends the run with a sentence that names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.graph import resubmit
from cluster.graph_file import NAME, read_graph
from jobs import ingest_steps, segment_steps
from jobs.__main__ import OFFLINE
from jobs.classify import classify
from jobs.config import Settings
from jobs.flow import Begun, Flow
from jobs.measure import Measured
from jobs.overview import supervisor_said
from jobs.pretrain import pretrain
from jobs.progress import shown
from jobs.report import report
from jobs.run_dir import StageFolder
from jobs.stages import stages_of
from jobs.submission import Submission
from jobs.tasks import ASKS, DONE, FAILED, SKIPPED, STOPPED, Task, TaskRecord, read_task, read_tasks
from jobs.train_segmenter import train_segmenter
from jobs.work import Work, finish, note_begun, taken_up
from pipelines.progress import Progress
from storage.errors import ClusterError, ConfigError, InputError, LockedError, RadmillError, StorageError
from storage.wording import counted

STOPPED_EARLY = 75


@dataclass(frozen=True, kw_only=True)
class Step:
    """One node of the graph.

    Of a stage in one step, `whole` runs it. Of a stage spread over several, the first step has `begin`, the others
    `act`, whose last line sums the stage up. missing: which tasks of the array before it left nothing.
    array: as many tasks as the run is wide; learns: trains, on as many workers as are configured; infers: computes
    with a model.
    """

    name: str
    stage: str
    whole: Callable[[Flow, Path], StageFolder] | None = None
    begin: Callable[[Work], Begun] | None = None
    act: Callable[[Work], str] | None = None
    missing: Callable[[Work], list[int]] | None = None
    array: bool = False
    learns: bool = False
    infers: bool = False


_STEPS = (
    Step(name="ingest-begin", stage="ingest", begin=ingest_steps.begin),
    Step(name="ingest-scan", stage="ingest", act=ingest_steps.scan, array=True),
    Step(name="ingest-plan", stage="ingest", act=ingest_steps.plan, missing=ingest_steps.missing_scans),
    Step(name="ingest-write", stage="ingest", act=ingest_steps.write, array=True),
    Step(name="ingest-commit", stage="ingest", act=ingest_steps.commit, missing=ingest_steps.missing_writes),
    Step(name="train-segmenter", stage="train-segmenter", whole=train_segmenter, learns=True),
    Step(name="segment-prepare", stage="segment", begin=segment_steps.prepare),
    Step(name="segment", stage="segment", act=segment_steps.parts, array=True, infers=True),
    Step(
        name="segment-assemble",
        stage="segment",
        act=segment_steps.assemble,
        missing=segment_steps.missing_parts,
    ),
    Step(name="pretrain", stage="pretrain", whole=pretrain, learns=True),
    Step(name="classify", stage="classify", whole=classify, infers=True),
    Step(name="report", stage="report", whole=report),
)
STEPS = {step.name: step for step in _STEPS}


def steps_of(settings: Settings) -> list[Step]:
    """The steps of a run in order: those of its stages."""
    stages = stages_of(settings)
    return [step for step in _STEPS if step.stage in stages]


def run_step(out: str, submission: str, name: str, index: int = 0) -> None:
    """Run one task of one step; what it leaves lies on disk. index: of an array's task.

    Raises:
        LockedError: the job is of an earlier submission, or a later attempt at the task has begun.
        RadmillError: as the step; its sentence is in the task's record too, where `status` finds it.
    """
    os.environ.update(OFFLINE)
    os.umask(0o077)  # what comes from patients is nobody else's to read
    current = Submission.of(Path(out))
    if current.id != submission:
        raise LockedError(f"This job is of an earlier submission from {out}, which another has followed.")
    with suppress(OSError):  # it may be on the login node alone; then nothing relative can be meant
        os.chdir(current.cwd)
    before = read_task(current.folder, name, index)
    again = before is not None and before.submission == submission
    task, measured = Task(current.folder, submission, name, index), Measured()
    try:
        with measured, current.held(name), _watched(task, name) as progress:
            settings = current.settings()
            settings.fresh &= not again  # a job that was requeued goes on
            _check_attempts(settings.cluster.max_attempts)
            flow = Flow(Path(current.out), settings, partial(_watched, task))
            work = Work(submission=current, flow=flow, index=index, progress=progress)
            state, said = _run(STEPS[name], work, task)
            if STEPS[name] is steps_of(settings)[-1]:
                current.release()
    except RadmillError as error:
        state = STOPPED if error.exit_code == STOPPED_EARLY else FAILED
        users = isinstance(error, ConfigError | InputError)
        task.end(state, str(error), measured.seconds, measured.peak_mb, users)
        raise
    except SystemExit:  # the scheduler has warned us and was told to start the job again
        task.end(STOPPED, "goes on in the next attempt", measured.seconds, measured.peak_mb)
        raise
    except BaseException as error:
        task.end(FAILED, f"{type(error).__name__}; its log tells more", measured.seconds, measured.peak_mb)
        raise
    if state != ASKS:
        task.end(state, said, measured.seconds, measured.peak_mb)


def _check_attempts(most: int) -> None:
    """ClusterError where Slurm has started this job again and again: what it works on may bring its nodes down."""
    attempts = int(os.environ.get("SLURM_RESTART_COUNT", "0")) + 1
    if attempts > most:
        raise ClusterError(
            f"Slurm started this job {attempts} times and cluster.max_attempts is {most}: it was preempted, or what it "
            "works on brings nodes down; look at its log, then radmill retry asks once more."
        )


def _run(step: Step, work: Work, task: Task) -> tuple[str, str]:
    """How the task ended, and the line that sums it up."""
    _check_before(step, work)
    if step.whole:
        folder = step.whole(work.flow, work.store)
        return SKIPPED if step.stage in work.flow.skipped else DONE, folder.summary()
    if step.begin:
        begun = step.begin(work)
        note_begun(work, begun)
        return SKIPPED if begun.skipped else DONE, begun.folder.summary()
    begun = taken_up(work, step.stage)
    if begun.skipped:
        return SKIPPED, begun.folder.summary()
    if step.missing and (missing := step.missing(work)):
        return ASKS, _ask_again(step, work, task, missing)
    assert step.act
    try:
        with Measured() as measured:
            said = step.act(work)
    except (ConfigError, InputError):
        if not step.array:  # a mistyped value must not cost what was finished before
            begun.folder.withdraw(begun.goes_on)
        raise
    steps = [one.name for one in _STEPS if one.stage == step.stage]
    if step.name == steps[-1]:
        task.check_newest()
        finish(work, begun, steps[:-1], said, measured.seconds, measured.peak_mb)
    return DONE, said


def _check_before(step: Step, work: Work) -> None:
    """Raise StorageError unless every step before, but for arrays, has ended well in this submission."""
    for before in steps_of(work.settings):
        if before is step:
            return
        record = read_task(work.submission.folder, before.name)
        if before.array or (record and record.submission == work.submission.id and record.ended_well):
            continue
        said = _why(before, work, record)
        raise StorageError(f"{step.name} needs what {before.name} makes, which has failed{said}")


def _why(step: Step, work: Work, record: TaskRecord | None) -> str:
    """What a step that failed has said of it, or the supervisor of its job, who saw the end; as `: sentence`."""
    folder = work.submission.folder
    said = record.said if record and record.submission == work.submission.id else ""
    if step.learns and (folder / NAME).is_file() and (node := read_graph(folder).nodes.get(step.name)):
        said = supervisor_said(folder / step.name, node.latest[0]) or said
    return f": {said}" if said else "."


def _ask_again(step: Step, work: Work, task: Task, missing: Sequence[int]) -> str:
    """Submit the array's missing tasks once more, this step behind them, and end.

    Raises:
        StorageError: they were asked for often enough, or the user must mend something first.
    """
    array = _STEPS[_STEPS.index(step) - 1].name
    listed = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
    left = f"{len(missing)} of {counted(work.width, 'task')} of {array} left nothing: {listed}"
    records = read_tasks(work.submission.folder, array, work.submission.id)
    said = [records[index].said for index in missing if index in records and records[index].said]
    first = f" The first said: {said[0]}" if said else ""
    if any(records[index].users for index in missing if index in records):
        raise StorageError(f"{left}.{first}")
    task.end(ASKS, f"{left}; asked for again", 0, 0)  # before the next attempt's record takes its place
    try:
        resubmit(work.submission.folder, array, missing, asking=step.name)
    except ClusterError as error:
        raise StorageError(
            f"{left}. {error}{first} radmill logs out={work.out} stage={array} index={missing[0]} shows its log; "
            f"radmill retry out={work.out} asks for them again."
        ) from error
    return left


@contextmanager
def _watched(task: Task, name: str) -> Iterator[Progress]:
    """Progress for the log and for `status`."""
    with shown(name) as lines:

        def report(done: int, total: int, note: str) -> None:
            lines(done, total, note)
            task(done, total, note)

        yield report
