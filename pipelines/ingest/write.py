"""Films into shards: one task per shard, the same bytes however often and in whatever order the tasks run.

1. The films of a planned shard are decoded in a guarded child and written as a tar, then recorded. A shard
   that was recorded is not written again.
2. The records tell which films have the same pixels; the first by token stays.
3. A shard with films to drop is copied into one without them; the others stay as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from pipelines.ingest.decode import Encoded, Refused, encode_films
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.meter import Meter
from pipelines.ingest.plan import ShardPlan, planned_shards
from pipelines.ingest.records import Left, Record, Row, is_recorded, load_record, save_record
from pipelines.ingest.scan import Source
from pipelines.ingest.task import IngestTask
from pipelines.progress import Progress
from storage.codec import SUFFIXES
from storage.errors import Quarantined
from storage.plan import Film, plan_shards
from storage.shards import Placed, ShardWriter, read_member

_PLACE = ("shard", "offset", "size", "crc32c")


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

    Between the shards only digests of pixels stay in memory.
    """
    kept = _kept(task)

    def settled(worker: GuardedWorker, planned: ShardPlan) -> tuple[ShardPlan, Record]:
        return planned, _settle(worker, task, planned, kept)

    return pool.map(settled, planned_shards(task))


def write_again(worker: GuardedWorker, task: IngestTask, planned: ShardPlan, keys: Collection[str]) -> Record:
    """Write and record a shard of which these films alone stayed, as a first run and its duplicates leave it."""
    record = _write(worker, task, planned)
    rows = [row for row in record.rows if row["key"] in keys]
    if len(rows) == len(record.rows):
        return record
    path = task.shard_path(planned.shard)
    whole = path.rename(path.with_name(f"whole-{path.name}"))
    copied = _copy(rows, whole, path)
    whole.unlink()
    return save_record(task.store_root, planned.shard, Record(copied, record.left))


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


def _kept(task: IngestTask) -> dict[str, str]:
    """Digest of pixels that several films share -> key of the film that stays, the first by token."""
    seen: set[bytes] = set()
    shared: set[bytes] = set()
    for _, record in _records(task):
        for row in record.rows:
            digest = bytes.fromhex(row["pixels_sha256"])
            (shared if digest in seen else seen).add(digest)
    first: dict[str, tuple[str, int, str]] = {}
    for planned, record in _records(task) if shared else ():
        tokens = {key: source.token for source in planned.sources for key in source.keys}
        for row in record.rows:
            pixels_sha256 = row["pixels_sha256"]
            if bytes.fromhex(pixels_sha256) in shared:
                place = (tokens[row["key"]], row["frame"], row["key"])
                first[pixels_sha256] = min(place, first.get(pixels_sha256, place))
    return {pixels_sha256: key for pixels_sha256, (_, _, key) in first.items()}


def _settle(worker: GuardedWorker, task: IngestTask, planned: ShardPlan, kept: Mapping[str, str]) -> Record:
    """The record of the shard as the generation will name it: whole, and without duplicates."""
    record = load_record(task.store_root, planned.shard) or _write(worker, task, planned)
    whole = task.shard_path(planned.shard)
    rows = [row for row in record.rows if kept.get(row["pixels_sha256"], row["key"]) == row["key"]]
    if len(rows) == len(record.rows):
        return record if whole.exists() or not rows else _write(worker, task, planned)
    left = record.left + [
        Left(row["key"], "", "duplicate", "the same pixels", same_as=kept[row["pixels_sha256"]])
        for row in record.rows
        if kept.get(row["pixels_sha256"], row["key"]) != row["key"]
    ]
    if not rows:
        return Record([], left)
    films = [Film(row["key"], row["subject"], task.settings) for row in rows]
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
            results = _decode(worker, task, source)
            for frame, (key, result) in enumerate(zip(source.keys, results, strict=False)):
                if isinstance(result, Refused):
                    left.append(Left(key, "", result.reason, result.detail))
                    continue
                row = _row(key, source, frame, result)
                placed = shard.add(_member(row), result.data)
                shard.add(f"{key}.json", film_sidecar(row))
                rows.append(row | _placed(planned.shard, placed))
            if meter:
                refused = sum(isinstance(result, Refused) for result in results)
                meter.add(len(source.keys), task.raw / source.name, refused)
    if not rows:
        task.shard_path(planned.shard).unlink()
    return save_record(task.store_root, planned.shard, Record(rows, left))


def _decode(worker: GuardedWorker, task: IngestTask, source: Source) -> list[Encoded | Refused]:
    """One entry per frame, or a single one for a file that can't be read: its number of frames is but a claim."""
    try:
        return worker.call(
            encode_films,
            task.raw / source.name,
            source.sha256,
            len(source.keys),
            task.limits,
            task.config.codec,
        )
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
        "codec": film.codec,
        **asdict(film.meta),
        "data_kind": source.data_kind,
    }


def _member(row: Row) -> str:
    """The name of the film's pixels in its shard."""
    return f"{row['key']}.image.{SUFFIXES[row['codec']]}"


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
            data = read_member(source, row["offset"], row["size"], row["crc32c"])
            placed = shard.add(_member(row), data)
            shard.add(f"{row['key']}.json", film_sidecar(row))
            copied.append(row | _placed(target.name, placed))
    return copied
