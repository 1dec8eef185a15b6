"""The last step of ingest: what was written is counted against the plan and becomes the live generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.annotations.write import STAGE as MASKS
from pipelines.annotations.write import MarkedFilm, MaskTask, add_annotations
from pipelines.ingest.erased import unnamed
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.identify import Exclusion, Source
from pipelines.ingest.live import live_exclusions, live_masks
from pipelines.ingest.missing import NOTE, note_overrides
from pipelines.ingest.overrides import read_overrides
from pipelines.ingest.plan import (
    Plan,
    ShardPlan,
    check_any_film,
    excluded,
    keys_by_name,
    load_plan,
    planned_shards,
    subjects_by_patient,
)
from pipelines.ingest.scan import list_files
from pipelines.ingest.settle import remove_superseded, settle
from pipelines.ingest.summary import IngestSummary
from pipelines.ingest.task import IngestTask
from pipelines.ingest.write import missing_shards
from pipelines.outcomes.match import STAGE as OUTCOMES
from pipelines.outcomes.match import match_outcomes
from pipelines.outcomes.rule import parse_rule
from pipelines.outcomes.sheet import read_outcome_sheet
from pipelines.progress import Progress
from storage.care import tombstones
from storage.errors import StorageError
from storage.identity import Secret
from storage.manifest import Store
from storage.records import ACROSS, Record, Row, load_record
from storage.schemas import ANNOTATIONS, EXCLUSIONS, MANIFEST
from storage.seal import Sum


@dataclass(slots=True)
class _Films:
    """The films of all shards."""

    manifest: pa.Table
    exclusions: list[Exclusion]
    same_as: dict[str, str]  # key of a duplicate -> key of the film that stays
    days: dict[str, list[str]]  # subject -> days of its films in the manifest, YYYYMMDD or empty
    sums: dict[str, Sum]  # of the shards, as they were written
    uids: Counter[str]  # SOP instance UID that several files carry -> those with films in the manifest


def commit(task: IngestTask, pool: GuardedPool, progress: Progress) -> IngestSummary:
    """Make what was planned and written the live generation, and forget the state of this ingest.

    Raises:
        StorageError: a planned shard is not written, or a film is not accounted for.
        InputError: no film could be decoded.
    """
    made = load_plan(task)
    _check_written(task)
    secret = task.secret(phantoms=made.phantoms)
    store = Store.create(task.store_root, secret.key_id)
    films = _films(task, pool, made.files)
    exclusions = films.exclusions
    check_any_film(
        task.raw, _by_reason(one.reason for one in exclusions), films.manifest.num_rows + len(exclusions)
    )
    forgotten = ""
    if task.annotations:
        masks, left = _masks(task, films, secret, pool, progress)
    else:
        masks = live_masks(store, films.manifest)
        left, forgotten = live_exclusions(store)
    exclusions += left
    outcomes, advice = _outcomes(task, secret, films.days) if task.outcomes else (None, "")
    advice = "; ".join(filter(None, (advice, forgotten)))
    noted = note_overrides(read_overrides(task.overrides), task.store_root)
    generation = store.commit(
        films.manifest,
        pd.DataFrame(masks, columns=ANNOTATIONS.names),
        pd.DataFrame([asdict(exclusion) for exclusion in exclusions], columns=EXCLUSIONS.names),
        outcomes,
        films.sums,
    )
    if not noted:
        (task.store_root / NOTE).unlink(missing_ok=True)
    remove_superseded(task)
    task.discard_work()
    return _summary(task, store, films, generation, advice, made)


def _outcomes(
    task: IngestTask, secret: Secret, days: dict[str, list[str]]
) -> tuple[tuple[pd.DataFrame, pd.DataFrame], str]:
    """The outcomes of the films in the manifest, what was left out of them, and what to tell the user."""
    assert task.outcomes
    sheet = read_outcome_sheet(task.outcomes, task.study, task.mapping)
    outcomes = match_outcomes(sheet, task.study, secret, subjects_by_patient(task), days)
    left = unnamed(outcomes.exclusions, secret, tombstones.load(task.store_root))
    taken = f"columns taken {sheet.guesses}" if sheet.guesses else ""
    return (outcomes.rows, left), "; ".join(filter(None, (taken, outcomes.advice)))


def _summary(
    task: IngestTask, store: Store, films: _Films, generation: str, advice: str, made: Plan
) -> IngestSummary:
    manifest = films.manifest
    subjects, shards = (len(manifest[column].unique()) for column in ("subject", "shard"))
    left_out = store.all_exclusions
    asked = parse_rule(task.study.outcome_rule)
    rule = parse_rule(next(iter(store.outcomes["rule"].dropna()), asked.text))
    on_limit = sum(map(rule.tied, store.outcomes["t_score"]))
    shared_uids = sum(count > 1 for count in films.uids.values())
    return IngestSummary(
        films=manifest.num_rows,
        subjects=subjects,
        excluded=_by_reason(left_out["reason"]),
        masks=_by_reason(left_out.loc[left_out["stage"] == MASKS, "reason"]),
        rows=_by_reason(left_out.loc[left_out["stage"] == OUTCOMES, "reason"]),
        shards=shards,
        generation=generation,
        on_limit=on_limit,
        rule=rule.text,
        study_rule=asked.text,
        advice=advice,
        mixed=made.mixed,
        placeholders=made.placeholders,
        dropped=made.missing,
        across=sum(ACROSS in one.detail for one in films.exclusions),
        both_hands=0 if task.study.whole_films else _count(manifest, "laterality", "B"),
        no_view=_count(manifest, "view", "") if task.study.views else 0,
        shared_uids=shared_uids,
    )


def _count(manifest: pa.Table, column: str, value: str) -> int:
    return pc.sum(pc.equal(manifest[column], value)).as_py() or 0


def _check_written(task: IngestTask) -> None:
    missing = missing_shards(task)
    if missing:
        total = sum(1 for _ in planned_shards(task))
        raise StorageError(
            f"{len(missing)} of {total} planned shards are not written, the first at place {missing[0]} of the "
            "plan; run ingest again, which writes what is missing."
        )


def _films(task: IngestTask, pool: GuardedPool, num_files: int) -> _Films:
    """Every film of the plan, in the manifest or left out. Raises StorageError where one is in neither."""
    films = _Films(MANIFEST.empty_table(), excluded(task), {}, {}, {}, Counter())
    files, lost = len(films.exclusions), 0
    tables = [films.manifest]
    for planned, record in settle(task, pool):
        files += len(planned.sources)
        lost += _lost(planned, record)
        places = {
            key: (source, frame)
            for source in planned.sources
            for frame, key in zip(source.chosen, source.keys, strict=True)
        }
        rows = [row | {"token": places[row["key"]][0].token} for row in record.rows]
        for row in rows:
            films.days.setdefault(row["subject"], []).append(places[row["key"]][0].day)
        tables.append(pa.Table.from_pylist(rows, MANIFEST))
        if rows and record.tar:
            films.sums[rows[0]["shard"]] = record.tar
        written = {source.token: source.shared_uid for source, _ in (places[row["key"]] for row in rows)}
        films.uids.update(filter(None, written.values()))
        films.exclusions += _left_out(planned, record, places)
        films.same_as |= {left.key: left.same_as for left in record.left if left.same_as}
    lost += abs(num_files - files)
    if lost:
        raise StorageError(
            f"{lost} of {num_files} files are not accounted for: a record is damaged. "
            "Remove the folder records of the store and run ingest again."
        )
    films.manifest = pa.concat_tables(tables)
    return films


def _left_out(
    planned: ShardPlan, record: Record, places: Mapping[str, tuple[Source, int]]
) -> Iterator[Exclusion]:
    """Films that could not be written, a file that can't be read as its frame 0, and frames not asked for."""
    unread = set()
    for left in record.left:
        source, frame = places[left.key]
        if left.whole:
            unread.add(source.token)
        yield Exclusion(source.token, 0 if left.whole else frame, left.reason, left.detail, "write")
    for source in planned.sources:
        if source.token not in unread:  # whether its frames exist is only known once a file is read
            for frame in sorted({*range(source.frames)} - {*source.chosen}):
                yield Exclusion(source.token, frame, "not_selected", "", "scan")


def _lost(planned: ShardPlan, record: Record) -> int:
    """How many files' films are not in the record, each exactly once; a file left out whole is its frame 0."""
    found = Counter([row["key"] for row in record.rows] + [left.key for left in record.left])
    whole_files_left = {left.key for left in record.left if left.whole}
    lost = 0
    for source in planned.sources:
        counts = [found.pop(key, 0) for key in source.keys]
        left_whole = counts == [1] + [0] * (len(counts) - 1) and source.keys[0] in whole_files_left
        lost += not left_whole and counts != [1] * len(counts)
    return lost + len(found)


def _masks(
    task: IngestTask, films: _Films, secret: Secret, pool: GuardedPool, progress: Progress
) -> tuple[list[Row], list[Exclusion]]:
    assert task.annotations
    marked = _marked(films, keys_by_name(task))
    mask_task = MaskTask(
        task.annotations,
        list_files(task.annotations, "annotations"),
        task.store_root,
        marked,
        task.study.num_classes,
        task.config.films_per_shard,
        task.limits,
    )
    rows, left = add_annotations(mask_task, secret, pool, progress)
    for shard in {row["shard"] for row in rows}:
        record = load_record(task.store_root, shard)
        if record and record.tar:
            films.sums[shard] = record.tar
    return rows, left


def _marked(films: _Films, keys: dict[str, str]) -> dict[str, MarkedFilm]:
    """The films of the store by path; a duplicate's path leads to the film that stayed."""
    columns = (films.manifest[column].to_pylist() for column in ("key", "subject", "height", "width"))
    marked = {
        key: MarkedFilm(key, subject, (height, width))
        for key, subject, height, width in zip(*columns, strict=True)
    }
    stayed = {name: films.same_as.get(key, key) for name, key in keys.items()}
    return {name: marked[key] for name, key in stayed.items() if key in marked}


def _by_reason(reasons: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(reasons).items()))
