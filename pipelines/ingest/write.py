"""Films into shards: one task per shard, the same bytes however often and in whatever order the tasks run.

The films of a planned shard are decoded in a guarded child and written as a tar, then recorded. A shard that
was recorded is not written again.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict

from pipelines.ingest.decode import Encoded, Refused, encode_films
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.identify import Source
from pipelines.ingest.meter import Meter
from pipelines.ingest.plan import ShardPlan, planned_shards
from pipelines.ingest.task import IngestTask
from pipelines.progress import Progress
from storage.codec import SUFFIXES
from storage.errors import Quarantined
from storage.records import Left, Record, Row, is_recorded, load_record, save_record
from storage.shards import ShardWriter

# Columns of a row that are no part of the film's JSON member.
_PLACE = (
    *("shard", "offset", "size", "crc32c"),
    *("valid_offset", "valid_size", "valid_crc32c", "phash"),
)


def write_part(task: IngestTask, index: int, width: int, pool: GuardedPool, progress: Progress) -> None:
    """Write the shards of one part of the plan, those that an earlier run recorded excepted."""
    meter = Meter(sum(shard.films for shard in planned_shards(task, index, width)), progress)

    def recorded(planned: ShardPlan) -> None:
        record = load_record(task.store_root, planned.shard)
        if record is None or not record.lasts:
            write_shard(pool, task, planned, meter)
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


def write_shard(
    pool: GuardedPool, task: IngestTask, planned: ShardPlan, meter: Meter | None = None
) -> Record:
    """Decode the films of a shard and write them. meter: None for a shard that was counted before."""
    rows: list[Row] = []
    left: list[Left] = []
    with ShardWriter(task.shard_path(planned.shard)) as shard:
        for source in planned.sources:
            try:
                results = _decode(pool, task, source)
            except Quarantined as error:  # its number of frames is but a claim
                left.append(Left(source.keys[0], "", error.reason, error.detail, whole=True))
                results = []
            refused = sum(isinstance(result, Refused) for result in results) if results else 1
            for frame, key, result in zip(source.chosen, source.keys, results, strict=False):
                if isinstance(result, Refused):
                    left.append(Left(key, "", result.reason, result.detail))
                    continue
                row = _row(key, source, frame, result)
                rows.append(row | add_film(shard, row, result.data, result.valid_png))
            if meter:
                meter.add(len(source.keys), task.raw / source.name, refused)
    if not rows:
        task.shard_path(planned.shard).unlink()
    return save_record(task.store_root, planned.shard, Record(rows, left, shard.sum if rows else None))


def _decode(pool: GuardedPool, task: IngestTask, source: Source) -> list[Encoded | Refused]:
    """One entry per chosen frame. Raises Quarantined for a file that can't be read."""
    return pool.call(
        encode_films,
        task.raw / source.name,
        source.crc32c,
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


def add_film(shard: ShardWriter, row: Row, data: bytes, valid_png: bytes | None) -> Row:
    """Write a film's members; where they lie."""
    placed = shard.add(_member(row), data)
    shard.add(f"{row['key']}.json", film_sidecar(row))
    places = {"shard": shard.path.name, **asdict(placed)}
    if valid_png is not None:
        valid = shard.add(f"{row['key']}.valid.png", valid_png)
        places |= {f"valid_{name}": value for name, value in asdict(valid).items()}
    return places


def film_sidecar(row: Row) -> bytes:
    """The film's JSON member: its row without the place, unknown numbers as null."""
    known = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
        if name not in _PLACE
    }
    return (json.dumps(known, sort_keys=True) + "\n").encode()
