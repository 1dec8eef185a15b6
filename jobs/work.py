"""What a step of a submitted run works with, and how a stage is spread over steps in several processes.

A stage's first step asks its question (Flow.begin) and leaves a note in OUT/cluster/stages; the steps in the middle
and the last one go on only with the same question of the same submission; the last one finishes the stage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.config import Settings
from jobs.flow import Begun, Flow
from jobs.run_dir import StageFolder
from jobs.submission import Submission
from jobs.tasks import read_tasks
from pipelines.progress import Progress
from storage.atomic import write_json
from storage.errors import StorageError


@dataclass(frozen=True, kw_only=True)
class Work:
    """The same for all tasks of a submission but for index and progress."""

    submission: Submission
    flow: Flow
    index: int
    progress: Progress

    @property
    def settings(self) -> Settings:
        """The run's."""
        return self.flow.settings

    @property
    def out(self) -> Path:
        """Where the stages lie."""
        return self.flow.out

    @property
    def store(self) -> Path:
        """The store."""
        return Path(self.submission.store)

    @property
    def width(self) -> int:
        """Tasks of every array, fixed when the run was submitted."""
        return self.settings.cluster.array_width

    @property
    def segmenter(self) -> Path:
        """The segmenter's folder: as the user named it, else this run's own."""
        return Path(self.settings.segmenter) if self.settings.segmenter else self.out / "train-segmenter"


@dataclass(frozen=True, kw_only=True)
class _Note:
    submission: str
    question: str
    goes_on: bool
    started: str


def note_begun(work: Work, begun: Begun) -> None:
    """Tell the stage's other steps that it has begun."""
    note = _Note(
        submission=work.submission.id,
        question=_digest(begun.folder),
        goes_on=begun.goes_on,
        started=begun.started,
    )
    write_json(_path(work, begun.name), asdict(note))


def taken_up(work: Work, stage: str) -> Begun:
    """The stage as its first step has begun it.

    Raises:
        StorageError: it has not begun in this submission, or was asked something else since.
    """
    path = _path(work, stage)
    note = _Note(**json.loads(path.read_text())) if path.is_file() else None
    if note is None or note.submission != work.submission.id:
        raise StorageError(
            f"The stage {stage} has not begun in this submission; radmill status out={work.out} tells why, "
            "and the same radmill run goes on."
        )
    folder = StageFolder.begun(work.out / stage)
    if note.question != _digest(folder):
        raise StorageError(
            f"{folder.path} was begun anew with other settings or inputs while this run was under way; "
            "submit the run again."
        )
    return Begun(folder=folder, skipped=folder.finished(), goes_on=note.goes_on, started=note.started)


def finish(
    work: Work, begun: Begun, steps: Sequence[str], summary: str, seconds: float, peak_mb: float
) -> None:
    """The stage is done. steps: those before the last one, whose own seconds and memory are given."""
    tasks = [
        one for step in steps for one in read_tasks(work.submission.folder, step, work.submission.id).values()
    ]
    work.flow.finish(
        begun,
        summary,
        seconds + sum(one.seconds for one in tasks),
        max([peak_mb, *(one.peak_mb for one in tasks)]),
    )


def _path(work: Work, stage: str) -> Path:
    return work.submission.folder / "stages" / f"{stage}.json"


def _digest(folder: StageFolder) -> str:
    return hashlib.sha256(json.dumps(folder.asked, sort_keys=True).encode()).hexdigest()[:16]
