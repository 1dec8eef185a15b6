"""What was written becomes what the generation names: without duplicates, every shard whole.

1. The records tell which films have the same pixels, and which look so alike that their pixels are compared;
   the least lossy stays, then the largest, then the first by token.
2. A shard with films to drop is copied into one without them; the others stay as they are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.ingest.duplicates import find_duplicates
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.near import Look
from pipelines.ingest.plan import ShardPlan, planned_shards, shard_film
from pipelines.ingest.small_pictures import SmallPictures
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import add_film, write_shard
from storage.plan import plan_shards
from storage.records import Left, Record, Row, load_record, save_record
from storage.shards import ShardWriter, read_member


def settle(task: IngestTask, pool: GuardedPool) -> Iterator[tuple[ShardPlan, Record]]:
    """Each planned shard with its record as the generation will name it, without duplicates.

    Between the shards only what is left out stays in memory.
    """
    left_out = _duplicates(task, pool)

    def settled(planned: ShardPlan) -> tuple[ShardPlan, Record]:
        return planned, _settle(pool, task, planned, left_out)

    return pool.map(settled, planned_shards(task))


def remove_superseded(task: IngestTask) -> None:
    """Remove planned shards that no generation names: others hold their films, without duplicates."""
    named = {
        line.removeprefix("shards/")
        for listing in task.store_root.glob("generations/[0-9]*/shards.txt")
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
    return find_duplicates(alone, alike.values(), task.store_root, SmallPictures(task, pool))


def _look(row: Row, token: str, shard: str) -> Look:
    exam, modality = sys.intern(row["exam"]), sys.intern(row["modality"])
    ratio = row["lossy_ratio"]
    loss = (math.inf if ratio is None or math.isnan(ratio) else ratio) if row["lossy"] else 0.0
    pixels = row["height"] * row["width"]
    return Look(
        key=row["key"],
        phash=bytes.fromhex(row["phash"]),
        token=token,
        frame=row["frame"],
        exam=exam,
        modality=modality,
        shard=shard,
        loss=loss,
        pixels=pixels,
        subject=sys.intern(row["subject"]),
    )


def _settle(pool: GuardedPool, task: IngestTask, planned: ShardPlan, left_out: Mapping[str, Left]) -> Record:
    """The record of the shard as the generation will name it: whole, and without duplicates.

    left_out: key of a duplicate -> why, and the film that stays.
    """
    record = load_record(task.store_root, planned.shard) or write_shard(pool, task, planned)
    whole = task.shard_path(planned.shard)
    rows = [row for row in record.rows if row["key"] not in left_out]
    if len(rows) == len(record.rows):
        return record if whole.exists() or not rows else write_shard(pool, task, planned)
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
            write_shard(pool, task, planned)
        settled = save_record(task.store_root, shard, _copied(rows, whole, task.shard_path(shard)))
    return Record(settled.rows, left, settled.tar)


def _copied(rows: list[Row], source: Path, target: Path) -> Record:
    """Write the rows' films from one shard into another; the record of that."""
    copied: list[Row] = []
    with ShardWriter(target) as shard:
        for row in rows:
            data = read_member(source, row["offset"], row["size"], row["crc32c"])
            valid_png = (
                read_member(source, row["valid_offset"], row["valid_size"], row["valid_crc32c"])
                if "valid_offset" in row
                else None
            )
            copied.append(row | add_film(shard, row, data, valid_png))
    return Record(copied, [], shard.sum)
