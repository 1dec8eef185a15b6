"""Raw files into a store: scan, plan, write, commit.

1. scan: every file below raw= is hashed and looked at; who and when come from headers, tables and paths.
2. plan: whole subjects to shards, by content alone.
3. write: one idempotent task per shard; a killed run leaves whole shards, which the next one takes over.
4. commit: every file and frame is in the manifest or the exclusions, counted; one rename makes it live.

The caller holds the lock of the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd
import pyarrow as pa

from pipelines.annotations.write import STAGE as MASKS
from pipelines.annotations.write import MarkedFilm, MaskTask, add_annotations
from pipelines.config import StudyConfig
from pipelines.ingest.decode import Inspected, Refused
from pipelines.ingest.erased import unnamed, without_erased
from pipelines.ingest.guard import GuardedPool
from pipelines.ingest.outcomes import STAGE as OUTCOMES
from pipelines.ingest.outcomes import match_outcomes, read_outcome_sheet, with_films
from pipelines.ingest.records import Left, Row
from pipelines.ingest.scan import Exclusion, Found, Scan, identify, inspect_all, list_files
from pipelines.ingest.write import ShardTask, remove_superseded, write_films
from pipelines.progress import Progress, silent
from storage.care import tombstones
from storage.config import IngestConfig
from storage.errors import InputError, StorageError
from storage.identity import Secret, key_path
from storage.manifest import Store
from storage.radiograph import Limits
from storage.schemas import ANNOTATIONS, EXCLUSIONS

_DECODERS = ("pipelines.ingest.decode",)


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What went in and what was left out."""

    films: int
    subjects: int
    excluded: dict[str, int]  # reason -> number of files, frames and patients
    shards: int
    generation: str

    def __str__(self) -> str:
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.excluded.items())
        return (
            f"{self.films} films of {self.subjects} subjects in {self.shards} shards; "
            f"{sum(self.excluded.values())} left out{f' ({left_out})' if left_out else ''}"
        )


def ingest(
    raw: Path,
    store_root: Path,
    config: IngestConfig,
    study: StudyConfig,
    outcomes: Path | None = None,
    annotations: Path | None = None,
    data_kind: str | None = None,
    processes: int = 1,
    progress: Progress = silent,
    skip: Sequence[Path] = (),
) -> IngestSummary:
    """Read every film below raw, and what is known of its subjects, into the store.

    Outcomes and masks that are not named stay as an earlier ingest left them, masks as long as their films.

    Args:
        outcomes: a table with patient_id and the study's outcome column.
        annotations: a folder of label maps.
        data_kind: real or phantom for all films; None believes the files.
        processes: guarded decoders at a time; the store's bytes do not depend on it.
        skip: further files and folders that are no input though they lie below raw, such as the run's results.

    Raises:
        InputError: there is nothing to read, or it can't be told whose it is.
    """
    sheet = read_outcome_sheet(outcomes, study) if outcomes else None
    masks = list_files(annotations, "annotations") if annotations else []
    key_path = _key_path(config, store_root)
    ours = [path for path in (store_root, outcomes, annotations, key_path, *skip) if path]
    names = list_files(raw, "raw", ours)
    limits = _limits(config)
    with GuardedPool(processes, config.memory_gb, config.timeout_s, _DECODERS) as pool:
        found = inspect_all(raw, names, pool, limits, progress)
        scan, secret = _identified(raw, names, found, config, key_path, data_kind)
        erased = tombstones.load(store_root)
        scan = without_erased(scan, secret, erased)
        del found
        outcome = match_outcomes(sheet, study, secret, scan.subjects_by_patient) if sheet else None
        store = Store.create(store_root, secret.key_id)
        count = _Counter(len(scan.films), progress).add
        settings = repr((limits, data_kind))
        task = ShardTask(raw, store_root, limits, settings, config.films_per_shard, scan.films, count)
        manifest, left = write_films(task, pool)
        exclusions = [*scan.exclusions, *(_exclusion(scan, film) for film in left)]
        _check_counts(scan, manifest, exclusions)
        _check_any_film(raw, exclusions, len(manifest) + len(exclusions))
        if annotations:
            marked = _marked(manifest, scan, left)
            mask_task = MaskTask(
                annotations, masks, store_root, marked, study.num_classes, config.films_per_shard, limits
            )
            mask_rows, left_masks = add_annotations(mask_task, secret, pool, progress)
        else:
            mask_rows, left_masks = _live_masks(store, manifest), _live_exclusions(store, MASKS)
    exclusions += left_masks
    if outcome:
        outcome = with_films(outcome, set(manifest["subject"].to_pylist()))
        store.write_outcomes(outcome.rows)
    left_outcomes = outcome.exclusions if outcome else _live_exclusions(store, OUTCOMES)
    exclusions += unnamed(left_outcomes, secret, erased)
    generation = _commit(store, manifest, mask_rows, exclusions)
    remove_superseded(task)
    subjects, shards = (len(manifest[column].unique()) for column in ("subject", "shard"))
    return IngestSummary(len(manifest), subjects, _by_reason(exclusions), shards, generation)


def _commit(store: Store, manifest: pa.Table, masks: list[Row], exclusions: list[Exclusion]) -> str:
    return store.commit(
        manifest.to_pandas(),
        pd.DataFrame(masks, columns=ANNOTATIONS.names),
        pd.DataFrame([asdict(exclusion) for exclusion in exclusions], columns=EXCLUSIONS.names),
    )


def _live_masks(store: Store, manifest: pa.Table) -> list[Row]:
    """The masks of the live generation whose films are still there."""
    if store.generation is None:
        return []
    kept = store.annotations["key"].isin(manifest["key"].to_pylist())
    return [dict(zip(ANNOTATIONS.names, row, strict=True)) for row in _tuples(store.annotations[kept])]


def _live_exclusions(store: Store, stage: str) -> list[Exclusion]:
    """What the live generation leaves out of the masks or the outcomes."""
    if store.generation is None:
        return []
    return [Exclusion(*row) for row in _tuples(store.exclusions[store.exclusions["stage"] == stage])]


def _tuples(frame: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    return frame.itertuples(index=False, name=None)


def _key_path(config: IngestConfig, store_root: Path) -> Path:
    """Where the secret lies: as configured, else STORE.key beside the store."""
    return key_path(store_root, config.key_file)


def _limits(config: IngestConfig) -> Limits:
    return Limits(
        max_megapixels=config.max_megapixels,
        max_file_mb=config.max_file_mb,
        modalities=tuple(modality.upper() for modality in config.modalities),
    )


def _identified(
    raw: Path,
    names: list[str],
    found: list[Found],
    config: IngestConfig,
    key_path: Path,
    data_kind: str | None,
) -> tuple[Scan, Secret]:
    """The files under their pseudonyms; phantoms alone need no secret."""
    if data_kind is not None:
        found = [_of_kind(result, data_kind) for result in found]
    _check_any_film(raw, [result for result in found if isinstance(result, Refused)], len(found))
    real = any(result.header.data_kind != "phantom" for result in found if isinstance(result, Inspected))
    secret = Secret.load_or_create(key_path) if real or config.key_file else Secret.phantom()
    return identify(names, found, secret, config.subject_from), secret


def _of_kind(result: Found, data_kind: str) -> Found:
    """The file as the caller says it is."""
    if isinstance(result, Refused):
        return result
    return replace(result, header=replace(result.header, data_kind=data_kind))


def _check_any_film(raw: Path, refused: Sequence[Refused | Exclusion], total: int) -> None:
    """Raise InputError where everything was refused, saying why."""
    if len(refused) == total:
        counts = ", ".join(f"{count} {reason}" for reason, count in _by_reason(refused).items())
        raise InputError(
            f"raw={raw} holds no radiograph that can be used: of {total} files and frames, {counts}. "
            "Name a folder with DICOM, PNG, JPEG or TIFF films."
        )


def _by_reason(refused: Iterable[Refused | Exclusion]) -> dict[str, int]:
    return dict(sorted(Counter(one.reason for one in refused).items()))


def _exclusion(scan: Scan, left: Left) -> Exclusion:
    source, frame = scan.films[left.key]
    return Exclusion(source.token, frame, left.reason, left.detail, "write")


def _marked(manifest: pa.Table, scan: Scan, left: Iterable[Left]) -> dict[str, MarkedFilm]:
    """The films of the store by path; a duplicate's path leads to the film that stayed."""
    columns = (manifest[column].to_pylist() for column in ("key", "subject", "height", "width"))
    films = {
        key: MarkedFilm(key, subject, (height, width))
        for key, subject, height, width in zip(*columns, strict=True)
    }
    same = {film.key: film.same_as for film in left if film.same_as}
    keys = {name: same.get(key, key) for name, key in scan.keys_by_name.items()}
    return {name: films[key] for name, key in keys.items() if key in films}


def _check_counts(scan: Scan, manifest: pa.Table, exclusions: Iterable[Exclusion]) -> None:
    """Raise StorageError unless every file and frame is in the manifest or the exclusions, exactly once."""
    frames: dict[str, list[int]] = {token: [] for token in scan.tokens}
    for token, frame in zip(manifest["token"].to_pylist(), manifest["frame"].to_pylist(), strict=True):
        frames[token].append(frame)
    for exclusion in exclusions:
        frames[exclusion.token].append(exclusion.frame)
    whole = {source.token: list(range(len(source.keys))) for source, _ in scan.films.values()}
    read = set(manifest["token"].to_pylist())
    lost = sum(
        sorted(found) != whole.get(token) and (token in read or found != [0])
        for token, found in frames.items()
    )
    if lost:
        raise StorageError(
            f"{lost} of {len(frames)} files are not accounted for: a record is damaged. "
            "Remove the folder records of the store and run ingest again."
        )


class _Counter:
    """Adds up what several threads finish."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._done, self._lock = 0, Lock()

    def add(self, films: int) -> None:
        with self._lock:
            self._done += films
            self._progress(self._done, self._total, "films written")
