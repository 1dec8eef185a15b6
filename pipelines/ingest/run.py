"""Raw files into a store, in four steps that keep their state on disk: scan, plan, write, commit.

1. scan_part: the files below raw= are hashed and looked at, each by one of `width` parts.
2. plan: who, when and which films come from headers, tables and paths; whole subjects to shards, by content alone.
3. write_part: one idempotent task per shard, part i takes plan[i::width]; a killed run leaves whole shards,
   which the next one takes over.
4. commit: every file and frame is in the manifest or the exclusions, counted against the plan; one rename
   makes it live.

`run_task` is these four in order on one machine, after `task.begin()`; an array of any fixed width runs the same
functions. The caller holds the lock of the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.config import StudyConfig
from pipelines.ingest.commit import commit
from pipelines.ingest.missing import check_overrides_named
from pipelines.ingest.overrides import read_overrides
from pipelines.ingest.plan import plan
from pipelines.ingest.scan import list_files, scan_part
from pipelines.ingest.summary import IngestSummary
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import write_part
from pipelines.outcomes.sheet import read_outcome_sheet
from pipelines.progress import Progress, silent
from storage.config import IngestConfig
from storage.errors import InputError
from storage.manifest import check_format


def ingest(
    raw: Path,
    store_root: Path,
    config: IngestConfig,
    study: StudyConfig,
    outcomes: Path | None = None,
    annotations: Path | None = None,
    mapping: Path | None = None,
    data_kind: str | None = None,
    processes: int = 1,
    progress: Progress = silent,
    skip: Sequence[Path] = (),
) -> IngestSummary:
    """Read every film below raw, and what is known of its subjects, into the store.

    Outcomes and masks that are not named stay as an earlier ingest left them, masks as long as their films.

    Args:
        outcomes: a table with patient_id and the study's outcome column.
        annotations: a folder of label maps.
        mapping: a table of the films' ids by those of `outcomes`.
        data_kind: real or phantom for all films; None believes the files.
        processes: guarded decoders at a time; the store's bytes do not depend on it.
        skip: further files and folders that are no input though they lie below raw, such as the run's results.

    Raises:
        InputError: there is nothing to read, or it can't be told whose it is.
        StorageError: the store can't be written, or what is in it is damaged.
    """
    task = IngestTask(
        raw=raw,
        store_root=store_root,
        config=config,
        study=study,
        outcomes=outcomes,
        mapping=mapping,
        annotations=annotations,
        data_kind=data_kind,
        skip=tuple(skip),
    )
    return run_task(task, processes, progress)


def run_task(task: IngestTask, processes: int = 1, progress: Progress = silent) -> IngestSummary:
    """All steps in order on this machine; as `ingest`."""
    check_inputs(task)
    task.begin()
    try:
        with task.leaving_nothing(), task.pool(processes) as pool:
            scan_part(task, 0, 1, pool, progress)
            plan(task, 1)
            write_part(task, 0, 1, pool, progress)
            return commit(task, pool, progress)
    finally:
        task.discard_work()


def check_inputs(task: IngestTask) -> None:
    """Raise InputError where what the user named can't be used, before any film is read."""
    check_format(task.store_root)
    raw, store = task.raw.resolve(), task.store_root.resolve()
    if raw.is_relative_to(store):
        raise InputError(
            f"raw={task.raw} is {'' if raw == store else 'inside '}store={task.store_root}: the films would lie among "
            "the store's own files; name a folder of its own as store=."
        )
    task.check_secret()
    read_overrides(task.overrides)
    check_overrides_named(task.overrides, task.store_root)
    if task.outcomes:
        read_outcome_sheet(task.outcomes, task.study, task.mapping)
    if task.annotations:
        list_files(task.annotations, "annotations")
