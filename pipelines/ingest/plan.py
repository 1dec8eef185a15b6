"""The second step of ingest: who is on which film, under pseudonyms, and which shard takes it.

Everything is decided here by the files' bytes and paths, before a pixel is decoded; the steps that follow are
counted against what this one wrote down.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from pipelines.annotations.match import check_any_mask
from pipelines.ingest.decode import Refused
from pipelines.ingest.erased import without_erased
from pipelines.ingest.identify import Exclusion, Scan, Source, identify
from pipelines.ingest.missing import check_missing, missing_films
from pipelines.ingest.overrides import Override, read_overrides
from pipelines.ingest.scan import list_files, missing_scans, scanned
from pipelines.ingest.select import select
from pipelines.ingest.task import IngestTask, read_lines, write_lines
from pipelines.outcomes.match import check_any_match
from pipelines.outcomes.sheet import read_outcome_sheet
from storage.atomic import write_json
from storage.care import tombstones
from storage.errors import InputError, StorageError
from storage.manifest import Store
from storage.plan import Film, plan_shards


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is below raw=."""

    files: int  # films or not
    films: int  # frames that are asked for
    phantoms: bool  # none but phantoms: their key is public
    mixed: int = 0  # patient ids with and without an issuer
    placeholders: int = 0  # files whose patient id is a word for nobody
    missing: int = 0  # films of the live generation that are no longer below raw=


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard and the files whose films it takes, in their order."""

    shard: str
    sources: tuple[Source, ...]

    @property
    def films(self) -> int:
        """How many films its files claim to hold."""
        return sum(len(source.keys) for source in self.sources)


def plan(task: IngestTask, width: int) -> Plan:
    """Merge the parts of the scan, name each shard and its films, and make the store; erased people stay away.

    Raises:
        InputError: no file holds a film, it can't be told whose one is, the store has another key, or films of it
            are no longer below raw=.
        StorageError: a part of the scan is missing, or of another run.
    """
    _check_scanned(task, width)
    with task.leaving_nothing():
        return _planned(task, width)


def _planned(task: IngestTask, width: int) -> Plan:
    phantoms = _only_phantoms(task, width)
    secret = task.secret(phantoms=phantoms)
    overrides = read_overrides(task.overrides)
    scan = identify(scanned(task, width), secret, task.config.subject_from, overrides)
    mixed, placeholders = scan.mixed, scan.placeholders
    missing = missing_films(task.store_root, scan)
    if not task.config.drop_missing:
        check_missing(missing, task.raw, task.store_root)
    scan = select(scan, task.config, overrides, task.study)
    refused = Counter(one.reason for one in scan.exclusions)
    check_any_film(task.raw, refused, len(scan.sources) + len(scan.exclusions))
    if task.outcomes:
        check_any_match(read_outcome_sheet(task.outcomes, task.study, task.mapping), scan.subjects_by_patient)
    if task.annotations:
        check_any_mask(task.annotations, list_files(task.annotations, "annotations"), scan.keys_by_name)
    Store.create(task.store_root, secret.key_id)
    scan = without_erased(scan, secret, tombstones.load(task.store_root))
    films = sum(len(source.keys) for source in scan.sources)
    made = Plan(len(scan.sources) + len(scan.exclusions), films, phantoms, mixed, placeholders, missing)
    write_lines(task.work / "names.jsonl", scan.keys_by_name.items())
    patients = ((patient, sorted(subjects)) for patient, subjects in scan.subjects_by_patient.items())
    write_lines(task.work / "patients.jsonl", patients)
    write_lines(task.work / "excluded.jsonl", map(astuple, scan.exclusions))
    write_lines(task.work / "plan.jsonl", _lines(task, scan))
    write_json(task.work / "plan.json", asdict(made))
    return made


def load_plan(task: IngestTask) -> Plan:
    """What `plan` found."""
    path = task.work / "plan.json"
    if not path.exists():
        raise StorageError(f"{path} is missing: this ingest is not planned yet; plan it first.")
    return Plan(**json.loads(path.read_text()))


def planned_shards(task: IngestTask, index: int = 0, width: int = 1) -> Iterator[ShardPlan]:
    """The shards of one part of the plan, one in memory at a time."""
    for number, (shard, sources) in enumerate(read_lines(task.work / "plan.jsonl")):
        if number % width == index:
            yield ShardPlan(shard, tuple(map(_source, sources)))


def shard_film(task: IngestTask, source: Source, key: str) -> Film:
    """A film as the name of its shard stands for it: with all that its bytes depend on."""
    return Film(key, source.subject, f"{task.settings}{source.override.content} {source.order}")


def excluded(task: IngestTask) -> list[Exclusion]:
    """The files without a film of their own."""
    return [Exclusion(*fields) for fields in read_lines(task.work / "excluded.jsonl")]


def keys_by_name(task: IngestTask) -> dict[str, str]:
    """Path below raw= -> key of the file's first film."""
    return dict(read_lines(task.work / "names.jsonl"))


def subjects_by_patient(task: IngestTask) -> dict[str, list[str]]:
    """Normalised patient id -> pseudonyms of the films' subjects, one per issuer."""
    return dict(read_lines(task.work / "patients.jsonl"))


def check_any_film(raw: Path, refused: Mapping[str, int], total: int) -> None:
    """Raise InputError where everything was refused, saying why; refused: reason -> count."""
    if sum(refused.values()) == total:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
        raise InputError(
            f"raw={raw} holds no radiograph that can be used: of {total} files and frames, {counts}. "
            "Name a folder with DICOM, PNG, JPEG or TIFF films."
        )


def _check_scanned(task: IngestTask, width: int) -> None:
    missing = missing_scans(task, width)
    if missing:
        parts = ", ".join(map(str, missing[:10]))
        raise StorageError(
            f"{len(missing)} of {width} parts of the scan are missing or of another run "
            f"({parts}{' ...' * (len(missing) > 10)}); scan them first."
        )


def _only_phantoms(task: IngestTask, width: int) -> bool:
    """Whether no film is real; InputError where there is none at all."""
    refused: Counter[str] = Counter()
    total = real = 0
    for _, found in scanned(task, width):
        total += 1
        if isinstance(found, Refused):
            refused[found.reason] += 1
        else:
            real += found.header.data_kind != "phantom"
    check_any_film(task.raw, refused, total)
    return not real


def _lines(task: IngestTask, scan: Scan) -> Iterator[tuple[str, list[dict[str, object]]]]:
    of_film = {source.keys[0]: source for source in scan.sources}
    films = [shard_film(task, source, key) for source in scan.sources for key in source.keys]
    for planned in plan_shards(films, task.config.films_per_shard):
        yield planned.shard, [asdict(of_film[key]) for key in planned.keys if key in of_film]


def _source(fields: dict[str, Any]) -> Source:
    """Back from JSON."""
    rebuilt = {name: tuple(fields[name]) for name in ("chosen", "keys")}
    return Source(**fields | rebuilt | {"override": Override(**fields["override"])})
