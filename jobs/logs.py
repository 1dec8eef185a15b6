"""What a submitted run prints: the log of the step that matters now, or of the one that was named."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cluster.graph_file import read_graph
from jobs.config import Settings
from jobs.overview import StepStatus, is_live, log_of, overview
from jobs.submission import Submission
from jobs.tasks import DONE, FAILED, RUNNING
from storage.errors import InputError
from storage.wording import counted

_LOOKS_EVERY_S = 0.5
_ASKS_EVERY_S = 10.0  # Slurm, whether the run still lives


def main(settings: Settings) -> int:
    """`radmill logs out=DIR [stage=STEP] [index=N] [-f]`."""
    out, wanted = Path(str(settings.out)), settings.logs
    submission = Submission.of(out)
    path = _log(submission, wanted.stage, wanted.index)
    print(f"{path}:", file=sys.stderr)
    read = _print_from(path, 0)
    asked = time.monotonic()
    while wanted.follow:
        if time.monotonic() - asked > _ASKS_EVERY_S:
            asked = time.monotonic()
            if not is_live(overview(submission)):
                break
            newer = _log(submission, wanted.stage, wanted.index)
            if newer != path:
                path, read = newer, 0
                print(f"{path}:", file=sys.stderr)
        time.sleep(_LOOKS_EVERY_S)
        read = _print_from(path, read)
    return 0


def _log(submission: Submission, stage: str | None, index: int | None) -> Path:
    """The file to show. InputError where there is none yet, or no such step or task."""
    names = list(read_graph(submission.folder).nodes)
    if stage is not None and not any(name == stage or name.startswith(f"{stage}-") for name in names):
        raise InputError(f"stage={stage} is none of the steps that were submitted: {', '.join(names)}.")
    steps = [
        step
        for step in overview(submission)
        if stage is None or step.name == stage or step.name.startswith(f"{stage}-")
    ]
    exact = [step for step in steps if step.name == stage]
    step = _most_telling(exact or steps)
    if index is None:
        path = step.log
    elif index in step.tasks:
        path = log_of(submission.folder / step.name, step.tasks[index].job)
    else:
        raise InputError(
            f"index={index} is none of the {counted(len(step.tasks), 'task')} of {step.name}, which count from 0."
        )
    if path is None:
        raise InputError(
            f"{step.name} has printed nothing yet: it is {step.state} ({step.words or 'no reason given'})."
        )
    return path


def _most_telling(steps: list[StepStatus]) -> StepStatus:
    """What runs, else what failed first, else what ended last, else what comes first."""
    for state in (RUNNING, FAILED):
        if found := [step for step in steps if step.state == state]:
            return found[0]
    ended = [step for step in steps if step.state == DONE and step.log]
    return ended[-1] if ended else steps[0]


def _print_from(path: Path, begin: int) -> int:
    """Print what lies behind `begin`; returns the new end."""
    with path.open("rb") as file:
        file.seek(begin)
        data = file.read()
    sys.stdout.write(data.decode("utf-8", "replace"))
    sys.stdout.flush()
    return begin + len(data)
