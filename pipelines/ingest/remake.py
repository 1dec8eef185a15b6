"""Damaged shards made again from the raw files, in the bytes that they had.

A shard's record holds the rows of its films to the last digit, so that a film, decoded again, gives the bytes
that it gave before; anything else is refused, and nothing is overwritten then.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.config import StudyConfig
from pipelines.ingest.decode import Inspected, Refused, inspect_file
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.identify import SAME_FILE, Source
from pipelines.ingest.overrides import read_overrides
from pipelines.ingest.plan import ShardPlan
from pipelines.ingest.scan import list_files
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import write_shard
from pipelines.progress import Progress
from storage import tables
from storage.atomic import fsync_dir
from storage.config import CODECS, IngestConfig
from storage.errors import InputError, Quarantined, StorageError
from storage.identity import Secret, owner_secret
from storage.manifest import Store
from storage.records import Row, load_record
from storage.wording import counted

OLDER = "Only an older generation names it: radmill store gc keep=0 removes those."
SAME_SETTINGS = "give the same ingest.* keys and ingest.overrides= as at ingest"
_BY_SETTINGS = ("wrong_modality", "too_large", "timeout")  # why the same bytes may be refused now


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
            f"{counted(len(damaged), 'damaged shard')}: give raw=DIR, the folder that the films came from."
        )
    secret = owner_secret(store.root, config.key_file, store.key_id)
    task = IngestTask(raw=raw, store_root=store.root, config=config, study=study, annotations=annotations)
    return Origin(task, secret, {secret.token(name): name for name in list_files(raw, "raw", task.no_films)})


@dataclass(frozen=True, slots=True)
class _Films:
    """What all films are made again from. tokens: key -> token; equal: SHA-256 -> further paths of such files."""

    tokens: dict[str, str]
    equal: dict[str, list[str]]
    origin: Origin
    pool: GuardedPool


def remake_films(
    store: Store, files: list[str], origin: Origin, pool: GuardedPool, progress: Progress, done: Repaired
) -> None:
    """Check the sources of all damaged shards that are live, then write them one by one; older ones follow.

    A shard that can't be made again stays as it is. StorageError where a live one's films give other bytes.
    """
    if not files:
        return
    tokens = _tokens(store)
    live = set(store.manifest["shard"])
    shards: dict[str, list[Row]] = {}
    for name in sorted(Path(file).name for file in files):
        rows = recorded(store.root, name)
        if rows is not None and all(row["key"] in tokens for row in rows):
            shards[name] = rows
        elif name in live:
            done.advice.append(
                f"shards/{name}: its record is damaged or gone too; run radmill ingest again, which makes both."
            )
        else:
            done.advice.append(f"shards/{name}: what it held is not known any more. {OLDER}")
    films = _Films(tokens, _equal_files(store, origin, pool), origin, pool)
    _remake(films, {name: rows for name, rows in shards.items() if name in live}, progress, done)
    for name in sorted(shards.keys() - live):
        try:
            _remake(films, {name: shards[name]}, progress, done)
        except StorageError as error:
            done.advice.append(f"shards/{name}: {error} {OLDER}")


def _tokens(store: Store) -> dict[str, str]:
    """Key -> token of the films of all generations; where they differ, as in the newest."""
    tokens: dict[str, str] = {}
    for path in sorted((store.root / "generations").glob("[0-9]*/manifest.parquet")):
        with suppress(StorageError):  # damaged: the generation goes as a whole
            rows = tables.read_arrow(path, ["key", "token"])
            tokens |= dict(zip(rows["key"].to_pylist(), rows["token"].to_pylist(), strict=True))
    return tokens | dict(zip(store.manifest["key"], store.manifest["token"], strict=True))


def _equal_files(store: Store, origin: Origin, pool: GuardedPool) -> dict[str, list[str]]:
    """SHA-256 -> paths of files that ingest left out as copies: an override may name any of them."""
    if not read_overrides(origin.task.overrides).rows:
        return {}
    left_out = store.exclusions[store.exclusions["detail"].str.startswith(SAME_FILE, na=False)]["token"]
    equal: dict[str, list[str]] = {}
    for token, found in _inspected(origin, left_out, pool).items():
        if isinstance(found, Inspected):
            equal.setdefault(found.sha256, []).append(origin.names[token])
    return equal


def _remake(films: _Films, shards: dict[str, list[Row]], progress: Progress, done: Repaired) -> None:
    """Write shards by the rows of their records. StorageError where sources are gone or give other bytes."""
    tokens, origin, pool = films.tokens, films.origin, films.pool
    root = origin.task.store_root
    wanted = {tokens[row["key"]]: row["source_sha256"] for rows in shards.values() for row in rows}
    frames = _frames(origin, wanted, pool)
    total, count = sum(map(len, shards.values())), 0
    aside = root / ".repair"  # a store of its own, from which each shard moves over once it is right

    def write(name: str) -> str:
        planned = ShardPlan(name, _sources(shards[name], films, frames))
        _write_shard(pool, replace(origin.task, store_root=aside), planned, shards[name])
        aside.joinpath("shards", name).replace(root / "shards" / name)
        fsync_dir(root / "shards")
        return name

    try:
        for name in pool.map(write, sorted(shards)):
            count += len(shards[name])
            progress(count, total, "films made again")
            done.made.append(f"shards/{name}")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def recorded(root: Path, shard: str) -> list[Row] | None:
    """The rows of a shard by its record; None where that is damaged or gone."""
    try:
        record = load_record(root, shard)
    except StorageError:
        return None
    return record.rows if record is not None else None


def _frames(origin: Origin, wanted: dict[str, str], pool: GuardedPool) -> dict[str, int]:
    """Token -> number of frames of its file; StorageError unless every file is there with the same bytes."""
    found = _inspected(origin, wanted, pool)
    same = {
        token: result.header.frames
        for token, result in found.items()
        if isinstance(result, Inspected) and result.sha256 == wanted[token]
    }
    refused = sum(isinstance(one, Refused) and one.reason in _BY_SETTINGS for one in found.values())
    gone, changed = len(wanted) - len(found), len(found) - len(same) - refused
    if gone or changed or refused:
        raise StorageError(
            f"Of the {len(wanted)} files that the damaged shards were made from, {gone} are gone from "
            f"raw={origin.task.raw} and {changed} changed"
            + (f", and {refused} are refused by these settings: {SAME_SETTINGS}" * bool(refused))
            + "; none was made again. "
            + "Put them back, or run radmill ingest for a new generation." * bool(gone or changed)
        )
    return same


def _inspected(origin: Origin, tokens: Iterable[str], pool: GuardedPool) -> dict[str, Inspected | Refused]:
    """What the files of these tokens are, as far as they are there."""

    def inspect(token: str) -> Inspected | Refused:
        try:
            return pool.call(inspect_file, origin.task.raw / origin.names[token], origin.task.limits)
        except Quarantined as error:
            return Refused(error.reason, error.detail)

    there = [token for token in tokens if token in origin.names]
    return dict(zip(there, pool.map(inspect, there), strict=True))


def _sources(rows: list[Row], films: _Films, frames: dict[str, int]) -> tuple[Source, ...]:
    """The files of a shard in its order, under the pseudonyms that they have in the store."""
    tokens, origin = films.tokens, films.origin
    of_file: dict[str, list[Row]] = {}
    for row in rows:
        of_file.setdefault(tokens[row["key"]], []).append(row)
    overrides = read_overrides(origin.task.overrides)
    return tuple(
        Source(
            name=origin.names[token],
            token=token,
            sha256=rows_of[0]["source_sha256"],
            frames=frames[token],
            chosen=tuple(row["frame"] for row in rows_of),
            keys=tuple(row["key"] for row in rows_of),
            subject=rows_of[0]["subject"],
            exam=rows_of[0]["exam"],
            order=rows_of[0]["order"] - rows_of[0]["frame"],
            day="",
            device=rows_of[0]["device"],
            data_kind=rows_of[0]["data_kind"],
            override=overrides.of((origin.names[token], *films.equal.get(rows_of[0]["source_sha256"], ()))),
        )
        for token, rows_of in of_file.items()
    )


def _write_shard(pool: GuardedPool, task: IngestTask, planned: ShardPlan, rows: list[Row]) -> None:
    """Write the shard in the codec that it had; StorageError where its films give other rows than these."""
    codec = next((row["codec"] for row in rows if row["codec"] in CODECS), task.config.codec)
    task = replace(task, config=replace(task.config, codec=codec))
    made = write_shard(pool, task, planned)
    if made.rows == rows:
        return
    if made.left:
        raise StorageError(
            f"A film of {planned.shard} can't be decoded any more: {made.left[0].reason}; {SAME_SETTINGS}."
        )
    raise StorageError(
        f"The films of {planned.shard} give other bytes than before: {SAME_SETTINGS}. Where they are the same, "
        "decoders or codecs changed since: run radmill ingest into a new store."
    )
