"""What lies below raw=: every file hashed and looked at, its films under pseudonyms, no pixel decoded."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from pipelines.ingest.decode import Inspected, Refused, inspect_file
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.overrides import Override
from pipelines.progress import Progress
from storage.deidentify import device
from storage.errors import InputError, Quarantined
from storage.identity import Secret, normalise
from storage.radiograph import Header, Limits

Found = Inspected | Refused


@dataclass(frozen=True, slots=True)
class Source:
    """A file with films. `name`, its path below raw=, lives in memory alone."""

    name: str
    token: str
    sha256: str
    keys: tuple[str, ...]  # of its frames
    subject: str
    exam: str
    order: int  # of its first frame among the subject's films, by time
    device: str
    data_kind: str
    header: Header  # lives in memory alone
    override: Override = field(default_factory=Override)


@dataclass(frozen=True, slots=True, order=True)
class Exclusion:
    """One row of the exclusions: a frame, or a whole file as its frame 0."""

    token: str
    frame: int
    reason: str
    detail: str
    stage: str


@dataclass(frozen=True, slots=True)
class Patient:
    """Whose film it is; other_id: how a table may call the same person."""

    issuer: str
    patient_id: str
    other_id: str


@dataclass(frozen=True, slots=True)
class Scan:
    """All files below raw=, each with its films or among the exclusions."""

    tokens: set[str]  # of all files
    films: dict[str, tuple[Source, int]]  # key -> file and frame
    keys_by_name: dict[str, str]  # path below raw= -> key of the first frame, of equal files the same
    exclusions: list[Exclusion]
    subjects_by_patient: dict[str, set[str]]  # normalised patient id -> subjects, one per issuer
    unselected: Sequence[Exclusion] = ()  # frames of films, left out if their file can be read


def list_files(folder: Path, key: str, skip: Collection[Path] = ()) -> list[str]:
    """Paths below the folder in POSIX form, ordered by bytes; links to folders are listed, not followed."""
    if not folder.is_dir():
        raise InputError(f"{key}={folder} is not a folder.")
    skipped = {path.resolve() for path in skip}
    names: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=partial(_unreadable, f"{key}={folder}")):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if (here / name).resolve() not in skipped]
        names += [
            path.relative_to(folder).as_posix()
            for path in map(here.joinpath, files + links)
            if path.resolve() not in skipped
        ]
    if not names:
        raise InputError(f"{key}={folder} holds no files; name a folder with films.")
    return sorted(names, key=os.fsencode)


def inspect_all(
    raw: Path, names: Sequence[str], pool: GuardedPool, limits: Limits, progress: Progress
) -> list[Found]:
    """Look at each file in a guarded child."""

    def inspect(worker: GuardedWorker, name: str) -> Found:
        try:
            return worker.call(inspect_file, raw / name, limits)
        except Quarantined as error:
            return Refused(error.reason, error.detail)

    found: list[Found] = []
    for result in pool.map(inspect, names):
        found.append(result)
        progress(len(found), len(names), "files looked at")
    return found


def identify(names: Sequence[str], found: Sequence[Found], secret: Secret, subject_from: str) -> Scan:
    """Give each file its pseudonyms. Of files with the same bytes the first by token is kept."""
    exclusions: list[Exclusion] = []
    headers: dict[str, Header] = {}
    patients: dict[str, Patient] = {}
    sources: dict[str, Source] = {}
    keys_by_name: dict[str, str] = {}
    for token, name, result in sorted(
        zip(map(secret.token, names), names, found, strict=True), key=lambda it: it[0]
    ):
        if isinstance(result, Refused):
            exclusions.append(Exclusion(token, 0, result.reason, result.detail, "scan"))
            continue
        header = headers[token] = result.header
        patients[token] = _patient(name, header, subject_from)
        if result.sha256 in sources:
            exclusions.append(Exclusion(token, 0, "duplicate", "the same file", "scan"))
        else:
            sources[result.sha256] = _source(token, name, result, patients[token], secret)
        keys_by_name[name] = sources[result.sha256].keys[0]
    _check_patients(patients.values(), subject_from)
    ordered = _in_order(sources.values(), headers)
    films = {key: (source, frame) for source in ordered for frame, key in enumerate(source.keys)}
    return Scan(
        set(map(secret.token, names)),
        films,
        keys_by_name,
        exclusions,
        _subjects_by_patient(patients.values(), secret),
    )


def _unreadable(what: str, error: OSError) -> None:
    raise InputError(f"A folder at or below {what} can't be read: {error.strerror}.") from error


def _patient(name: str, header: Header, subject_from: str) -> Patient:
    """From the header, else by the rule on the path; an empty id where neither tells."""
    if normalise(header.identity.patient_id):
        return Patient(header.identity.issuer, header.identity.patient_id, header.identity.patient_id)
    path = PurePosixPath(name)
    if subject_from == "file":
        return Patient("", path.with_suffix("").as_posix(), path.stem)
    if subject_from == "folder":
        folder = path.parent
        return Patient("", folder.as_posix() if folder.name else "", folder.name)
    match = re.search(subject_from.removeprefix("regex:"), name)
    patient_id = (match.groupdict().get("subject", match[1]) or "") if match else ""
    return Patient("", patient_id, patient_id)


def _check_patients(patients: Collection[Patient], subject_from: str) -> None:
    without = sum(not normalise(patient.patient_id) for patient in patients)
    if without:
        where = "lie in raw= itself" if subject_from == "folder" else "do not fit the pattern"
        raise InputError(
            f"{without} of {len(patients)} films name no patient in their header and {where}, so "
            f"ingest.subject_from={subject_from} does not tell whose they are. "
            "Use ingest.subject_from=file where each file is another "
            "person, or ingest.subject_from=regex:PATTERN with a group around the patient id."
        )


def _source(token: str, name: str, result: Inspected, patient: Patient, secret: Secret) -> Source:
    identity = result.header.identity
    subject = secret.subject(patient.issuer, patient.patient_id)
    return Source(
        name=name,
        token=token,
        sha256=result.sha256,
        keys=tuple(secret.film_key(result.sha256, frame) for frame in range(result.header.frames)),
        subject=subject,
        exam=secret.exam(subject, identity.study),
        order=0,
        device=device(identity.manufacturer, identity.model, secret),
        data_kind=result.header.data_kind,
        header=result.header,
    )


def _in_order(sources: Iterable[Source], headers: Mapping[str, Header]) -> list[Source]:
    """The sources with their place in time among the subject's films; times themselves stay behind."""

    def when(source: Source) -> tuple[str, tuple[str, ...], str]:
        return source.subject, headers[source.token].identity.taken, source.keys[0]

    next_order: dict[str, int] = defaultdict(int)
    ordered = []
    for source in sorted(sources, key=when):
        ordered.append(replace(source, order=next_order[source.subject]))
        next_order[source.subject] += len(source.keys)
    return ordered


def _subjects_by_patient(patients: Iterable[Patient], secret: Secret) -> dict[str, set[str]]:
    subjects: dict[str, set[str]] = defaultdict(set)
    for patient in patients:
        for patient_id in (patient.patient_id, patient.other_id):
            subjects[normalise(patient_id)].add(secret.subject(patient.issuer, patient.patient_id))
    return dict(subjects)
