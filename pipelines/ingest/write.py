"""Films into shards: one task per shard, the same bytes however often and in whatever order the tasks run.

1. The films of a planned shard are decoded in a guarded child and written as a tar, then recorded. A shard
   that was recorded is not written again.
2. The records tell which films have the same pixels, and which look so alike that their pixels are compared;
   the first by token stays.
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
from pipelines.ingest.duplicates import find_duplicates
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.near import Look, small
from pipelines.ingest.records import Left, Record, Row, load_record, save_record
from pipelines.ingest.scan import Source
from storage.codec import decode_png
from storage.errors import Quarantined
from storage.plan import Film, Planned, plan_shards
from storage.radiograph import Limits
from storage.schemas import MANIFEST
from storage.shards import ShardWriter, read_member
from storage.thumbnail import Gray

CODEC = "png"
Films = Mapping[str, tuple[Source, int]]  # key -> its file and frame

# Columns of a row that are no part of the film's JSON member.
_PLACE = (
    *("shard", "offset", "size", "crc32c"),
    *("valid_offset", "valid_size", "valid_crc32c", "phash"),
)


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
        sources = ((key, self.films[key][0]) for key in keys)
        films = [
            Film(key, source.subject, self.settings + source.override.content) for key, source in sources
        ]
        return plan_shards(films, self.films_per_shard)


def write_films(task: ShardTask, pool: GuardedPool) -> tuple[pa.Table, list[Left]]:
    """Write what is not yet written; the manifest, and the films left out.

    Between the steps only keys and digests stay in memory: rows come back from the records.
    """
    planned = task.plan(task.films)

    def recorded(worker: GuardedWorker, plan: Planned) -> list[tuple[str, Look]]:
        record = load_record(task.store_root, plan.shard)
        if record is None or not record.lasts:
            record = _write(worker, task, plan)
        else:
            task.count(len(plan.keys))
        return [(row["pixels_sha256"], _look(row, task.films)) for row in record.rows]

    def settled(worker: GuardedWorker, plan: Planned) -> tuple[pa.Table, list[Left]]:
        record = _settle(worker, again, plan, left_out)
        rows = [row | {"token": task.films[row["key"]][0].token} for row in record.rows]
        return pa.Table.from_pylist(rows, MANIFEST), record.left

    alike: dict[str, list[Look]] = defaultdict(list)
    for pixels_sha256, look in chain.from_iterable(pool.map(recorded, planned)):
        alike[pixels_sha256].append(look)
    again = replace(task, count=_ignore)  # a shard that has to be written again was counted before
    left_out = find_duplicates(alike.values(), task.store_root, _Small(again, pool, planned))
    del alike
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


def _settle(worker: GuardedWorker, task: ShardTask, planned: Planned, left_out: Mapping[str, Left]) -> Record:
    """The record of the shard as the generation will name it: whole, and without duplicates.

    left_out: key of a duplicate -> why, and the film that stays.
    """
    record = load_record(task.store_root, planned.shard) or _write(worker, task, planned)
    whole = task.path(planned.shard)
    rows = [row for row in record.rows if row["key"] not in left_out]
    if len(rows) == len(record.rows):
        return record if whole.exists() or not rows else _write(worker, task, planned)
    left = record.left + [left_out[row["key"]] for row in record.rows if row["key"] in left_out]
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
            try:
                results = _decode(worker, task, source, keys)
            except Quarantined as error:  # its number of frames is but a claim
                left.append(Left(keys[0], "", error.reason, error.detail, whole=True))
                results = []
            for key, result in zip(keys, results, strict=False):
                if isinstance(result, Refused):
                    left.append(Left(key, "", result.reason, result.detail))
                    continue
                row = _row(key, source, task.films[key][1], result)
                rows.append(row | _add(shard, row, result.png, result.valid_png))
            task.count(len(keys))
    if not rows:
        task.path(planned.shard).unlink()
    record = Record(rows, left)
    save_record(task.store_root, planned.shard, record)
    return record


class _Small:
    """A film's small picture by its key, read from its shard, which is written again where it was superseded."""

    def __init__(self, task: ShardTask, pool: GuardedPool, planned: Iterable[Planned]) -> None:
        self._task, self._pool = task, pool
        self._planned = {key: plan for plan in planned for key in plan.keys}

    def __call__(self, key: str) -> Gray:
        plan = self._planned[key]
        if not self._task.path(plan.shard).exists():
            list(self._pool.map(lambda worker, plan: _write(worker, self._task, plan), [plan]))
        record = load_record(self._task.store_root, plan.shard) or Record([], [])
        row = next(row for row in record.rows if row["key"] == key)
        path = self._task.path(plan.shard)
        return small(decode_png(read_member(path, row["offset"], row["size"], row["crc32c"])))


def _look(row: Row, films: Films) -> Look:
    source, frame = films[row["key"]]
    return Look(row["key"], bytes.fromhex(row["phash"]), source.token, frame, row["exam"], row["modality"])


def _by_source(planned: Planned, films: Films) -> dict[Source, list[str]]:
    """The planned films by file, so that a file is decoded once."""
    keys: dict[Source, list[str]] = defaultdict(list)
    for key in planned.keys:
        keys[films[key][0]].append(key)
    return keys


def _decode(
    worker: GuardedWorker, task: ShardTask, source: Source, keys: list[str]
) -> list[Encoded | Refused]:
    """One entry per key. Raises Quarantined for a file that can't be read."""
    chosen = [task.films[key][1] for key in keys]
    path, frames = task.raw / source.name, len(source.keys)
    return worker.call(encode_films, path, source.sha256, frames, chosen, source.override, task.limits)


def _row(key: str, source: Source, frame: int, film: Encoded) -> Row:
    """The film's row in the manifest, but for its token and its place, and its perceptual hash."""
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
        "phash": film.phash,
    }


def _add(shard: ShardWriter, row: Row, image: bytes, valid_png: bytes | None) -> Row:
    """Write a film's members; where they lie."""
    placed = shard.add(f"{row['key']}.image.{row['codec']}", image)
    shard.add(f"{row['key']}.json", _sidecar(row))
    places = {"shard": shard.path.name, **asdict(placed)}
    if valid_png is not None:
        valid = shard.add(f"{row['key']}.valid.png", valid_png)
        places |= {f"valid_{name}": value for name, value in asdict(valid).items()}
    return places


def _sidecar(row: Row) -> bytes:
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
            image = read_member(source, row["offset"], row["size"], row["crc32c"])
            valid_png = (
                read_member(source, row["valid_offset"], row["valid_size"], row["valid_crc32c"])
                if "valid_offset" in row
                else None
            )
            copied.append(row | _add(shard, row, image, valid_png))
    return copied
