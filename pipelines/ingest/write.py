"""Films into shards: one task per shard, the same bytes however often and in whatever order the tasks run.

1. The films of a planned shard are decoded in a guarded child and written as a tar, then recorded. A shard
   that was recorded is not written again.
2. The records tell which films have the same pixels; the first by token stays.
3. A shard with films to drop is copied into one without them; the others stay as they are.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import pyarrow as pa

from pipelines.ingest.decode import Encoded, Refused, encode_films
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.records import Left, Record, Row, load_record, save_record
from pipelines.ingest.scan import Source
from storage.errors import Quarantined
from storage.plan import Film, Planned, plan_shards
from storage.radiograph import Limits
from storage.schemas import MANIFEST
from storage.shards import Placed, ShardWriter, read_member

CODEC = "png"
Films = Mapping[str, tuple[Source, int]]  # key -> its file and frame

_PLACE = ("shard", "offset", "size", "crc32c")


@dataclass(frozen=True, slots=True)
class ShardTask:
    """What all tasks share. settings: what else decides over the films' bytes, for the plan's digest."""

    raw: Path
    store_root: Path
    limits: Limits
    settings: str
    films_per_shard: int
    films: Films
    count: Callable[[int], None]  # told the number of films done

    def path(self, shard: str) -> Path:
        """Where the shard lies."""
        return self.store_root / "shards" / shard

    def plan(self, keys: Iterable[str]) -> list[Planned]:
        """The shards for these films."""
        films = [Film(key, self.films[key][0].subject, self.settings) for key in keys]
        return plan_shards(films, self.films_per_shard)


def write_films(task: ShardTask, pool: GuardedPool) -> tuple[pa.Table, list[Left]]:
    """Write what is not yet written; the manifest, and the films left out.

    Between the steps only keys and digests stay in memory: rows come back from the records.
    """
    planned = task.plan(task.films)

    def recorded(worker: GuardedWorker, plan: Planned) -> list[tuple[str, str]]:
        record = load_record(task.store_root, plan.shard)
        if record is None or not record.lasts:
            record = _write(worker, task, plan)
        else:
            task.count(len(plan.keys))
        return [(row["pixels_sha256"], row["key"]) for row in record.rows]

    def settled(worker: GuardedWorker, plan: Planned) -> tuple[pa.Table, list[Left]]:
        record = _settle(worker, again, plan, kept)
        rows = [row | {"token": task.films[row["key"]][0].token} for row in record.rows]
        return pa.Table.from_pylist(rows, MANIFEST), record.left

    first: dict[str, tuple[str, int, str]] = {}
    for pixels_sha256, key in chain.from_iterable(pool.map(recorded, planned)):
        source, frame = task.films[key]
        place = (source.token, frame, key)
        first[pixels_sha256] = min(place, first.get(pixels_sha256, place))
    kept = {pixels_sha256: key for pixels_sha256, (_, _, key) in first.items()}
    again = replace(task, count=_ignore)  # a shard that has to be written again was counted before
    tables, left = [MANIFEST.empty_table()], []
    for table, left_of_shard in pool.map(settled, planned):
        tables.append(table)
        left += left_of_shard
    return pa.concat_tables(tables), left


def remove_superseded(task: ShardTask) -> None:
    """Remove planned shards that no generation names: others hold their films, without duplicates."""
    named = {
        line.removeprefix("shards/")
        for listing in task.store_root.glob("generations/*/shards.txt")
        for line in listing.read_text().splitlines()
    }
    for shard in {plan.shard for plan in task.plan(task.films)} - named:
        task.path(shard).unlink(missing_ok=True)


def _ignore(films: int) -> None:
    pass


def _settle(worker: GuardedWorker, task: ShardTask, planned: Planned, kept: Mapping[str, str]) -> Record:
    """The record of the shard as the generation will name it: whole, and without duplicates.

    kept: digest of the pixels -> key of the film that stays.
    """
    record = load_record(task.store_root, planned.shard) or _write(worker, task, planned)
    whole = task.path(planned.shard)
    rows = [row for row in record.rows if kept[row["pixels_sha256"]] == row["key"]]
    if len(rows) == len(record.rows):
        return record if whole.exists() or not rows else _write(worker, task, planned)
    left = record.left + [
        Left(row["key"], "", "duplicate", "the same pixels", same_as=kept[row["pixels_sha256"]])
        for row in record.rows
        if kept[row["pixels_sha256"]] != row["key"]
    ]
    if not rows:
        return Record([], left)
    [named] = task.plan(row["key"] for row in rows)
    shard = f"radiographs-{planned.shard.split('-')[1]}-{named.shard.split('-')[2]}"
    settled = load_record(task.store_root, shard)
    if settled is None or not task.path(shard).exists():
        if not whole.exists():
            _write(worker, task, planned)
        settled = Record(_copy(rows, whole, task.path(shard)), [])
        save_record(task.store_root, shard, settled)
    return Record(settled.rows, left)


def _write(worker: GuardedWorker, task: ShardTask, planned: Planned) -> Record:
    rows: list[Row] = []
    left: list[Left] = []
    with ShardWriter(task.path(planned.shard)) as shard:
        for source, keys in _by_source(planned, task.films).items():
            results = _decode(worker, task, source)
            for key in keys if len(results) > 1 else source.keys[:1]:
                frame = task.films[key][1]
                result = results[frame]
                if isinstance(result, Refused):
                    left.append(Left(key, "", result.reason, result.detail))
                    continue
                row = _row(key, source, frame, result)
                placed = shard.add(f"{key}.image.{CODEC}", result.png)
                shard.add(f"{key}.json", film_sidecar(row))
                rows.append(row | _placed(planned.shard, placed))
            task.count(len(keys))
    if not rows:
        task.path(planned.shard).unlink()
    record = Record(rows, left)
    save_record(task.store_root, planned.shard, record)
    return record


def _by_source(planned: Planned, films: Films) -> dict[Source, list[str]]:
    """The planned films by file, so that a file is decoded once."""
    keys: dict[Source, list[str]] = defaultdict(list)
    for key in planned.keys:
        keys[films[key][0]].append(key)
    return keys


def _decode(worker: GuardedWorker, task: ShardTask, source: Source) -> list[Encoded | Refused]:
    """One entry per frame, or a single one for a file that can't be read: its number of frames is but a claim."""
    try:
        return worker.call(encode_films, task.raw / source.name, source.sha256, len(source.keys), task.limits)
    except Quarantined as error:
        return [Refused(error.reason, error.detail)]


def _row(key: str, source: Source, frame: int, film: Encoded) -> Row:
    """The film's row in the manifest, but for its token and its place."""
    return {
        "key": key,
        "subject": source.subject,
        "frame": frame,
        "source_sha256": source.sha256,
        "pixels_sha256": film.pixels_sha256,
        "height": film.height,
        "width": film.width,
        "bits": film.bits,
        "exam": source.exam,
        "order": source.order + frame,
        "device": source.device,
        "codec": CODEC,
        **asdict(film.meta),
        "data_kind": source.data_kind,
    }


def _placed(shard: str, placed: Placed) -> Row:
    return {"shard": shard, **asdict(placed)}


def film_sidecar(row: Row) -> bytes:
    """The film's JSON member: its row without the place, unknown numbers as null."""
    known = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
        if name not in _PLACE
    }
    return (json.dumps(known, sort_keys=True) + "\n").encode()


def _copy(rows: list[Row], source: Path, target: Path) -> list[Row]:
    """Write the rows' films from one shard into another; the rows at their new place."""
    copied: list[Row] = []
    with ShardWriter(target) as shard:
        for row in rows:
            png = read_member(source, row["offset"], row["size"], row["crc32c"])
            placed = shard.add(f"{row['key']}.image.{CODEC}", png)
            shard.add(f"{row['key']}.json", film_sidecar(row))
            copied.append(row | _placed(target.name, placed))
    return copied
