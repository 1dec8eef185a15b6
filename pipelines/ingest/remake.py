"""Damaged shards made again from the raw files, in the bytes that they had.

A shard's record holds the rows of its films to the last digit, so that a film, decoded again, gives the bytes
that it gave before; anything else is refused, and nothing is overwritten then.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.annotations.write import MarkedFilm, MaskTask, add_annotations
from pipelines.config import StudyConfig
from pipelines.ingest.decode import Inspected, Refused, encode_films, inspect_file
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.records import Row, load_record
from pipelines.ingest.scan import list_files
from pipelines.ingest.write import film_sidecar
from pipelines.progress import Progress
from storage.config import IngestConfig
from storage.errors import InputError, Quarantined, StorageError
from storage.identity import key_path, owner_secret
from storage.manifest import Store
from storage.radiograph import Limits
from storage.shards import ShardWriter


@dataclass(slots=True)
class Repaired:
    """Files made again, files removed that the next run of their job makes again, and what a person must do."""

    made: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the films came from. names: token -> path below raw."""

    raw: Path
    names: dict[str, str]
    limits: Limits


def origin_of(store: Store, config: IngestConfig, raw: Path | None, damaged: list[str]) -> Origin:
    """The files below raw by token; InputError where raw= is not given, or the key is another store's."""
    if raw is None:
        raise InputError(
            f"{len(damaged)} shards are damaged; give raw=DIR, the folder that they were made from."
        )
    secret = owner_secret(store.root, config.key_file, store.key_id)
    skip = [store.root, key_path(store.root, config.key_file)]
    names = {secret.token(name): name for name in list_files(raw, "raw", skip)}
    return Origin(
        raw,
        names,
        Limits(
            max_megapixels=config.max_megapixels,
            max_file_mb=config.max_file_mb,
            modalities=tuple(modality.upper() for modality in config.modalities),
        ),
    )


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

    def write(worker: GuardedWorker, name: str) -> str:
        _write_shard(worker, store.root / "shards" / name, shards[name], tokens, frames, origin)
        return name

    for name in pool.map(write, sorted(shards)):
        count += len(shards[name])
        progress(count, total, "films made again")
        done.made.append(f"shards/{name}")


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
            return worker.call(inspect_file, origin.raw / origin.names[token], origin.limits)
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
            f"Of the {len(wanted)} files that the damaged shards were made from, {gone} are gone from raw={origin.raw} "
            f"and {changed} changed; nothing was repaired. Put them back, or run radmill ingest for a new generation."
        )
    return same


def _write_shard(
    worker: GuardedWorker,
    path: Path,
    rows: Iterable[Row],
    tokens: dict[str, str],
    frames: dict[str, int],
    origin: Origin,
) -> None:
    """The shard as its record tells it; StorageError, and the old file stays, where a film gives other bytes."""
    last, films = "", []
    with ShardWriter(path) as shard:
        for row in rows:
            token = tokens[row["key"]]
            if token != last:
                file = origin.raw / origin.names[token]
                films = worker.call(encode_films, file, row["source_sha256"], frames[token], origin.limits)
                last = token
            film = films[row["frame"]]
            if isinstance(film, Refused):
                raise StorageError(f"A film of {path.name} can't be decoded any more: {film.reason}.")
            placed = shard.add(f"{row['key']}.image.{row['codec']}", film.png)
            if (placed.offset, placed.size, placed.crc32c) != (row["offset"], row["size"], row["crc32c"]):
                raise StorageError(
                    f"The films of {path.name} give other bytes than before: decoders or codecs changed since. "
                    "Run radmill ingest into a new store."
                )
            shard.add(f"{row['key']}.json", film_sidecar(row))


def remake_masks(
    store: Store,
    files: list[str],
    origin: Origin,
    annotations: Path | None,
    config: IngestConfig,
    study: StudyConfig,
    pool: GuardedPool,
    progress: Progress,
    done: Repaired,
) -> None:
    """Write the masks' shards again; where that gives others, the damaged ones stay and the advice says so."""
    if not files:
        return
    if annotations is None:
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
    names = list_files(annotations, "annotations")
    secret = owner_secret(store.root, config.key_file, store.key_id)
    add_annotations(
        MaskTask(
            annotations, names, store.root, marked, study.num_classes, config.films_per_shard, origin.limits
        ),
        secret,
        pool,
        progress,
    )
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
