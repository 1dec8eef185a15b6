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
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pipelines.ingest.decode import Encoded, Refused, encode_films
from pipelines.ingest.duplicates import find_duplicates
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.meter import Meter
from pipelines.ingest.near import Look, small
from pipelines.ingest.plan import ShardPlan, planned_shards, shard_film
from pipelines.ingest.records import Left, Record, Row, is_recorded, load_record, save_record
from pipelines.ingest.scan import Source
from pipelines.ingest.task import IngestTask
from pipelines.progress import Progress
from storage.codec import SUFFIXES, decode
from storage.errors import Quarantined, StorageError
from storage.plan import plan_shards
from storage.shards import ShardWriter, read_member
from storage.thumbnail import Gray

# Columns of a row that are no part of the film's JSON member.
_PLACE = (
    *("shard", "offset", "size", "crc32c"),
    *("valid_offset", "valid_size", "valid_crc32c", "phash"),
)


def write_part(task: IngestTask, index: int, width: int, pool: GuardedPool, progress: Progress) -> None:
    """Write the shards of one part of the plan, those that an earlier run recorded excepted."""
    meter = Meter(sum(shard.films for shard in planned_shards(task, index, width)), progress)

    def recorded(worker: GuardedWorker, planned: ShardPlan) -> None:
        record = load_record(task.store_root, planned.shard)
        if record is None or not record.lasts:
            _write(worker, task, planned, meter)
        else:
            meter.skip(planned.films, len(record.left))

    for _ in pool.map(recorded, planned_shards(task, index, width)):
        pass


def missing_shards(task: IngestTask) -> list[int]:
    """Places in the plan of the shards that are still to be written."""
    return [
        number
        for number, planned in enumerate(planned_shards(task))
        if not is_recorded(task.store_root, planned.shard)
    ]


def settle(task: IngestTask, pool: GuardedPool) -> Iterator[tuple[ShardPlan, Record]]:
    """Each planned shard with its record as the generation will name it, without duplicates.

    Between the shards only what is left out stays in memory.
    """
    left_out = _duplicates(task, pool)

    def settled(worker: GuardedWorker, planned: ShardPlan) -> tuple[ShardPlan, Record]:
        return planned, _settle(worker, task, planned, left_out)

    return pool.map(settled, planned_shards(task))


def remove_superseded(task: IngestTask) -> None:
    """Remove planned shards that no generation names: others hold their films, without duplicates."""
    named = {
        line.removeprefix("shards/")
        for listing in task.store_root.glob("generations/*/shards.txt")
        for line in listing.read_text().splitlines()
    }
    for planned in planned_shards(task):
        if planned.shard not in named:
            task.shard_path(planned.shard).unlink(missing_ok=True)


def _records(task: IngestTask) -> Iterator[tuple[ShardPlan, Record]]:
    for planned in planned_shards(task):
        record = load_record(task.store_root, planned.shard)
        if record is not None:
            yield planned, record


def _duplicates(task: IngestTask, pool: GuardedPool) -> dict[str, Left]:
    """Key -> why a film of the records is left out for another one.

    In memory are a hash of 128 bytes per film, its key and token, and in the first pass digests of pixels.
    """
    seen: set[bytes] = set()
    shared: set[bytes] = set()
    for _, record in _records(task):
        for row in record.rows:
            digest = bytes.fromhex(row["pixels_sha256"])
            (shared if digest in seen else seen).add(digest)
    del seen
    alone: list[Look] = []
    alike: dict[bytes, list[Look]] = {digest: [] for digest in shared}
    for planned, record in _records(task):
        tokens = {key: source.token for source in planned.sources for key in source.keys}
        for row in record.rows:
            look = _look(row, tokens[row["key"]], planned.shard)
            alike.get(bytes.fromhex(row["pixels_sha256"]), alone).append(look)
    return find_duplicates(alone, alike.values(), task.store_root, partial(_small, task, pool))


def _look(row: Row, token: str, shard: str) -> Look:
    exam, modality = sys.intern(row["exam"]), sys.intern(row["modality"])
    return Look(row["key"], bytes.fromhex(row["phash"]), token, row["frame"], exam, modality, shard)


def _small(task: IngestTask, pool: GuardedPool, look: Look) -> Gray:
    """The film at 128 x 128, from its planned shard, which is written again where it was superseded."""
    path = task.shard_path(look.shard)
    if not path.exists():
        planned = (planned for planned in planned_shards(task) if planned.shard == look.shard)
        list(pool.map(lambda worker, planned: _write(worker, task, planned), planned))
    record = load_record(task.store_root, look.shard) or Record([], [])
    row = next((row for row in record.rows if row["key"] == look.key), None)
    if row is None:
        raise StorageError("A film below raw= changed while it was ingested; run ingest again.")
    return small(decode(read_member(path, row["offset"], row["size"], row["crc32c"]), row["codec"]))


def _settle(
    worker: GuardedWorker, task: IngestTask, planned: ShardPlan, left_out: Mapping[str, Left]
) -> Record:
    """The record of the shard as the generation will name it: whole, and without duplicates.

    left_out: key of a duplicate -> why, and the film that stays.
    """
    record = load_record(task.store_root, planned.shard) or _write(worker, task, planned)
    whole = task.shard_path(planned.shard)
    rows = [row for row in record.rows if row["key"] not in left_out]
    if len(rows) == len(record.rows):
        return record if whole.exists() or not rows else _write(worker, task, planned)
    left = record.left + [left_out[row["key"]] for row in record.rows if row["key"] in left_out]
    if not rows:
        return Record([], left)
    staying = {row["key"] for row in rows}
    films = [
        shard_film(task, source, key) for source in planned.sources for key in source.keys if key in staying
    ]
    [named] = plan_shards(films, max(len(films), task.config.films_per_shard))
    shard = f"radiographs-{planned.shard.split('-')[1]}-{named.shard.split('-')[2]}"
    settled = load_record(task.store_root, shard)
    if settled is None or not task.shard_path(shard).exists():
        if not whole.exists():
            _write(worker, task, planned)
        copied = Record(_copy(rows, whole, task.shard_path(shard)), [])
        settled = save_record(task.store_root, shard, copied)
    return Record(settled.rows, left)


def _write(worker: GuardedWorker, task: IngestTask, planned: ShardPlan, meter: Meter | None = None) -> Record:
    """Decode the films of a shard and write them. meter: None for a shard that was counted before."""
    rows: list[Row] = []
    left: list[Left] = []
    with ShardWriter(task.shard_path(planned.shard)) as shard:
        for source in planned.sources:
            try:
                results = _decode(worker, task, source)
            except Quarantined as error:  # its number of frames is but a claim
                left.append(Left(source.keys[0], "", error.reason, error.detail, whole=True))
                results = []
            refused = sum(isinstance(result, Refused) for result in results) if results else 1
            for frame, key, result in zip(source.chosen, source.keys, results, strict=False):
                if isinstance(result, Refused):
                    left.append(Left(key, "", result.reason, result.detail))
                    continue
                row = _row(key, source, frame, result)
                rows.append(row | _add(shard, row, result.data, result.valid_png))
            if meter:
                meter.add(len(source.keys), task.raw / source.name, refused)
    if not rows:
        task.shard_path(planned.shard).unlink()
    return save_record(task.store_root, planned.shard, Record(rows, left))


def _decode(worker: GuardedWorker, task: IngestTask, source: Source) -> list[Encoded | Refused]:
    """One entry per chosen frame. Raises Quarantined for a file that can't be read."""
    return worker.call(
        encode_films,
        task.raw / source.name,
        source.sha256,
        source.frames,
        source.chosen,
        source.override,
        task.limits,
        task.config.codec,
    )


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
        "codec": film.codec,
        **asdict(film.meta),
        "data_kind": source.data_kind,
        "phash": film.phash,
    }


def _member(row: Row) -> str:
    """The name of the film's pixels in its shard."""
    return f"{row['key']}.image.{SUFFIXES[row['codec']]}"


def _add(shard: ShardWriter, row: Row, data: bytes, valid_png: bytes | None) -> Row:
    """Write a film's members; where they lie."""
    placed = shard.add(_member(row), data)
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
            data = read_member(source, row["offset"], row["size"], row["crc32c"])
            valid_png = (
                read_member(source, row["valid_offset"], row["valid_size"], row["valid_crc32c"])
                if "valid_offset" in row
                else None
            )
            copied.append(row | _add(shard, row, data, valid_png))
    return copied
