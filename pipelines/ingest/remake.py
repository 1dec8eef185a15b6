"""Damaged shards made again from the raw files, in the bytes that they had.

A shard's record holds the rows of its films to the last digit, so that a film, decoded again, gives the bytes
that it gave before; anything else is refused, and nothing is overwritten then.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.annotations.write import MarkedFilm, MaskTask, add_annotations
from pipelines.config import StudyConfig
from pipelines.ingest.decode import Inspected, Refused, inspect_file
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.overrides import read_overrides
from pipelines.ingest.plan import ShardPlan
from pipelines.ingest.scan import Source, list_files
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import write_shard
from pipelines.progress import Progress
from storage.atomic import fsync_dir
from storage.config import CODECS, IngestConfig
from storage.errors import InputError, Quarantined, StorageError
from storage.identity import Secret, owner_secret
from storage.manifest import Store
from storage.records import Row, load_record


@dataclass(slots=True)
class Repaired:
    """Files made again, files removed that the next run of their job makes again, and what a person must do."""

    made: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the films came from. names: token -> path below raw."""

    task: IngestTask
    secret: Secret
    names: dict[str, str]


def origin_of(
    store: Store,
    config: IngestConfig,
    study: StudyConfig,
    raw: Path | None,
    annotations: Path | None,
    damaged: list[str],
) -> Origin:
    """The files below raw by token; InputError where raw= is not given, or the key is another store's."""
    if raw is None:
        raise InputError(
            f"{len(damaged)} shards are damaged; give raw=DIR, the folder that they were made from."
        )
    secret = owner_secret(store.root, config.key_file, store.key_id)
    task = IngestTask(raw=raw, store_root=store.root, config=config, study=study, annotations=annotations)
    return Origin(task, secret, {secret.token(name): name for name in list_files(raw, "raw", task.no_films)})


def remake_films(
    store: Store, files: list[str], origin: Origin, pool: GuardedPool, progress: Progress, done: Repaired
) -> None:
    """Check the sources of all damaged shards, then write them one by one."""
    tokens = dict(zip(store.manifest["key"], store.manifest["token"], strict=True))
    shards: dict[str, list[Row]] = {}
    for file in files:
        name = Path(file).name
        rows = _recorded(store.root, name)
        if rows is None or any(row["key"] not in tokens for row in rows):
            (store.root / "records" / f"{name.removesuffix('.tar')}.json").unlink(missing_ok=True)
            (store.root / file).unlink(missing_ok=True)
            done.removed.append(file)
            done.advice.append(
                f"{file} and its record are both damaged: run radmill ingest again to have it made."
            )
        else:
            shards[name] = rows
    wanted = {tokens[row["key"]]: row["source_sha256"] for rows in shards.values() for row in rows}
    frames = _frames(origin, wanted, pool)
    total, count = sum(map(len, shards.values())), 0
    aside = store.root / ".repair"  # a store of its own, from which each shard moves over once it is right

    def write(worker: GuardedWorker, name: str) -> str:
        planned = ShardPlan(name, _sources(shards[name], tokens, frames, origin))
        _write_shard(worker, replace(origin.task, store_root=aside), planned, shards[name])
        aside.joinpath("shards", name).replace(store.root / "shards" / name)
        fsync_dir(store.root / "shards")
        return name

    try:
        for name in pool.map(write, sorted(shards)):
            count += len(shards[name])
            progress(count, total, "films made again")
            done.made.append(f"shards/{name}")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _recorded(root: Path, shard: str) -> list[Row] | None:
    """The rows of a shard by its record; None where that is gone too."""
    try:
        record = load_record(root, shard)
    except StorageError:
        return None
    return record.rows if record is not None else None


def _frames(origin: Origin, wanted: dict[str, str], pool: GuardedPool) -> dict[str, int]:
    """Token -> number of frames of its file; StorageError unless every file is there with the same bytes."""

    def inspect(worker: GuardedWorker, token: str) -> Inspected | Refused:
        try:
            return worker.call(inspect_file, origin.task.raw / origin.names[token], origin.task.limits)
        except Quarantined as error:
            return Refused(error.reason, error.detail)

    there = [token for token in wanted if token in origin.names]
    found = dict(zip(there, pool.map(inspect, there), strict=True))
    same = {
        token: result.header.frames
        for token, result in found.items()
        if isinstance(result, Inspected) and result.sha256 == wanted[token]
    }
    gone, changed = len(wanted) - len(there), len(there) - len(same)
    if gone or changed:
        raise StorageError(
            f"Of the {len(wanted)} files that the damaged shards were made from, {gone} are gone from "
            f"raw={origin.task.raw} and {changed} changed; nothing was repaired. "
            "Put them back, or run radmill ingest for a new generation."
        )
    return same


def _sources(
    rows: list[Row], tokens: dict[str, str], frames: dict[str, int], origin: Origin
) -> tuple[Source, ...]:
    """The files of a shard in its order, under the pseudonyms that they have in the store."""
    of_file: dict[str, list[Row]] = {}
    for row in rows:
        of_file.setdefault(tokens[row["key"]], []).append(row)
    overrides = read_overrides(origin.task.overrides)
    return tuple(
        Source(
            name=origin.names[token],
            token=token,
            sha256=films[0]["source_sha256"],
            frames=frames[token],
            chosen=tuple(film["frame"] for film in films),
            keys=tuple(film["key"] for film in films),
            subject=films[0]["subject"],
            exam=films[0]["exam"],
            order=films[0]["order"] - films[0]["frame"],
            day="",
            device=films[0]["device"],
            data_kind=films[0]["data_kind"],
            override=overrides.of((origin.names[token],)),
        )
        for token, films in of_file.items()
    )


def _write_shard(worker: GuardedWorker, task: IngestTask, planned: ShardPlan, rows: list[Row]) -> None:
    """Write the shard in the codec that it had; StorageError where its films give other rows than these."""
    codec = next((row["codec"] for row in rows if row["codec"] in CODECS), task.config.codec)
    task = replace(task, config=replace(task.config, codec=codec))
    made = write_shard(worker, task, planned)
    if made.rows == rows:
        return
    if made.left:
        raise StorageError(f"A film of {planned.shard} can't be decoded any more: {made.left[0].reason}.")
    raise StorageError(
        f"The films of {planned.shard} give other bytes than before: decoders, codecs or settings changed since. "
        "Run radmill ingest into a new store."
    )


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
    task = origin.task
    if task.annotations is None:
        done.advice.append(f"{len(files)} shards of masks are damaged; give annotations=DIR too.")
        return
    aside = {
        store.root / file: (store.root / file).with_name(f".{Path(file).name}.damaged") for file in files
    }
    for path, kept in aside.items():
        with suppress(FileNotFoundError):
            path.rename(kept)
        if _recorded(store.root, path.name) is None:
            (store.root / "records" / f"{path.stem}.json").unlink(missing_ok=True)
    rows = store.manifest
    columns = (rows[name].tolist() for name in ("token", "frame", "key", "subject", "height", "width"))
    marked = {
        origin.names[token]: MarkedFilm(key, subject, (height, width))
        for token, frame, key, subject, height, width in zip(*columns, strict=True)
        if token in origin.names and frame == 0
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
    add_annotations(mask_task, origin.secret, pool, progress)
    for path, kept in aside.items():
        file = path.relative_to(store.root).as_posix()
        if path.exists():
            kept.unlink(missing_ok=True)
            done.made.append(file)
        else:
            if kept.exists():
                kept.rename(path)
            done.advice.append(
                f"{file}: the masks in annotations= are not those it was made from; run radmill ingest."
            )
