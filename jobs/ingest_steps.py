"""The stage ingest as steps of a submitted run: begin, scan[W], plan, write[W], commit (pipelines/ingest/run.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs import ingest
from jobs.flow import Begun
from jobs.tasks import read_task
from jobs.work import Work
from storage.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pipelines.ingest.task import IngestTask


def begin(work: Work) -> Begun:
    """Ask the question, and give this ingest its id."""
    from pipelines.ingest.run import check_inputs

    begun = ingest.begin(work.flow, work.store)
    if not begun.skipped:
        task = _task(work)
        try:
            check_inputs(task)
        except (ConfigError, InputError):
            begun.folder.withdraw(begun.goes_on)
            raise
        task.begin()
    return begun


def scan(work: Work) -> str:
    """Look at this task's files."""
    from pipelines.ingest.scan import scan_part

    task = _task(work)
    with task.pool(_processes(work)) as pool:
        scan_part(task, work.index, work.width, pool, work.progress)
    return "scanned"


def missing_scans(work: Work) -> list[int]:
    """Tasks of the scan whose part is not there."""
    from pipelines.ingest import scan

    return scan.missing_scans(_task(work), work.width)


def plan(work: Work) -> str:
    """Films to subjects and shards; makes the secret where there is none yet, and says so."""
    from pipelines.ingest.plan import plan

    task = _task(work)
    had_key = task.key_path.exists()
    with _nothing_kept_if_refused(task):
        plan(task, work.width)
    return ingest.made_key(task.key_path, had_key)


def write(work: Work) -> str:
    """Write this task's shards."""
    from pipelines.ingest.write import write_part

    task = _task(work)
    with task.pool(_processes(work)) as pool:
        write_part(task, work.index, work.width, pool, work.progress)
    return "written"


def missing_writes(work: Work) -> list[int]:
    """Tasks of the write of whose shards one is not there."""
    from pipelines.ingest.write import missing_shards

    task = _task(work)
    if not task.work.exists():
        return []  # an earlier attempt has committed; `commit` goes through it all again
    return sorted({place % work.width for place in missing_shards(task)})


def commit(work: Work) -> str:
    """Make what was written the live generation.

    An attempt that was killed after its commit has removed what the steps share: this one then goes the whole way
    alone, which decodes nothing again.
    """
    from pipelines.ingest import commit
    from pipelines.ingest.run import run_task

    task, processes = _task(work), _processes(work)
    if task.work.exists():
        with task.pool(processes) as pool, _nothing_kept_if_refused(task):
            summary = commit.commit(task, pool, work.progress)
    else:
        summary = run_task(task, processes, work.progress)
    ingest.keep_oracle(work.settings, work.store)
    ingest.record_made(work.out / "ingest", work.store)
    planned = read_task(work.submission.folder, "ingest-plan")
    return f"{summary}{planned.said if planned else ''}"


@contextmanager
def _nothing_kept_if_refused(task: IngestTask) -> Iterator[None]:
    """What the steps share, paths below raw= and who is on which film, goes where the user must mend something."""
    try:
        yield
    except (ConfigError, InputError):
        task.discard_work()
        raise


def _processes(work: Work) -> int:
    """As many as the job has CPUs: not every cluster binds a job to its own."""
    return work.settings.cluster.processes or work.settings.cluster.cpus_per_worker


def _task(work: Work) -> IngestTask:
    return ingest.ingest_task(work.settings, work.store, work.out)
