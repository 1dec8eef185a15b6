"""Damaged shards of masks made again from annotations=; what does not give the same masks stays as it was."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from pipelines.annotations.write import MarkedFilm, MaskTask, add_annotations
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.remake import OLDER, Origin, Repaired, recorded
from pipelines.ingest.scan import list_files
from pipelines.progress import Progress
from storage import tables
from storage.atomic import write_bytes
from storage.errors import StorageError
from storage.manifest import Store
from storage.records import Row
from storage.schemas import ANNOTATIONS
from storage.wording import counted


def remake_masks(
    store: Store,
    files: list[str],
    origin: Origin,
    pool: GuardedPool,
    progress: Progress,
    done: Repaired,
) -> None:
    """Write the masks' shards again; where that gives others, the damaged ones stay and the advice says so."""
    if not files:
        return
    if origin.task.annotations is None:
        done.advice.append(f"{counted(len(files), 'damaged shard')} of masks: give annotations=DIR too.")
        return
    expected, live = _named_rows(store), set(store.annotations["shard"])
    aside = {path: _Aside(path) for path in (store.root / file for file in files)}
    same: set[Path] = set()
    try:
        for old in aside.values():
            old.put_away()
        made = _written(store, origin, pool, progress)
        same = {path for path in aside if _holds(made[path.name], expected[path.name])}
    finally:
        for path, old in aside.items():
            if path in same:
                old.kept.unlink(missing_ok=True)
            else:
                old.put_back()
    for path in aside:
        file = path.relative_to(store.root).as_posix()
        if path in same:
            done.made.append(file)
        else:
            advice = "Run radmill ingest." if path.name in live else OLDER
            done.advice.append(f"{file}: the masks in annotations= are not those it was made from. {advice}")


class _Aside:
    """A damaged shard under another name, and its record as it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = path.with_name(f".{path.name}.damaged")
        self._record = path.parents[1] / "records" / f"{path.stem}.json"
        self._recorded = self._record.read_bytes() if self._record.exists() else None
        self._away = False

    def put_away(self) -> None:
        """Make room for a new shard; a damaged record would stop its writer."""
        with suppress(FileNotFoundError):
            self.path.rename(self.kept)
        self._away = True
        if recorded(self.path.parents[1], self.path.name) is None:
            self._record.unlink(missing_ok=True)

    def put_back(self) -> None:
        """Undo `put_away`, and what was written since."""
        if not self._away:
            return
        if self.kept.exists():
            self.kept.replace(self.path)
        else:
            self.path.unlink(missing_ok=True)
        if self._recorded is not None:
            write_bytes(self._record, self._recorded)
        else:
            self._record.unlink(missing_ok=True)


def _written(
    store: Store, origin: Origin, pool: GuardedPool, progress: Progress
) -> defaultdict[str, list[Row]]:
    """Write the masks that have no whole shard; shard -> rows, of all masks."""
    task, rows = (
        origin.task,
        store.manifest.sort_values("frame").drop_duplicates("token"),
    )  # first frame of each file
    assert task.annotations is not None
    columns = (rows[name].tolist() for name in ("token", "key", "subject", "height", "width"))
    marked = {
        origin.names[token]: MarkedFilm(key, subject, (height, width))
        for token, key, subject, height, width in zip(*columns, strict=True)
        if token in origin.names
    }
    mask_task = MaskTask(
        task.annotations,
        list_files(task.annotations, "annotations"),
        store.root,
        marked,
        task.study.num_classes,
        task.config.films_per_shard,
        task.limits,
    )
    made: defaultdict[str, list[Row]] = defaultdict(list)
    for row in add_annotations(mask_task, origin.secret, pool, progress)[0]:
        made[row["shard"]].append(row)
    return made


def _named_rows(store: Store) -> defaultdict[str, list[Row]]:
    """Shard -> the masks in it that any generation names."""
    named: defaultdict[str, list[Row]] = defaultdict(list)
    for path in sorted((store.root / "generations").glob("[0-9]*/annotations.parquet")):
        with suppress(StorageError):  # damaged: the generation goes as a whole
            for row in tables.read_arrow(path, ANNOTATIONS.names).to_pylist():
                named[row["shard"]].append(row)
    return named


def _holds(made: list[Row], expected: list[Row]) -> bool:
    """Whether all expected rows are among those made, place and checksum included."""
    written = pa.Table.from_pylist(made, ANNOTATIONS).to_pylist()
    return bool(expected) and all(row in written for row in expected)
