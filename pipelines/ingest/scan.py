"""What lies below raw=: every file hashed and looked at, its films under pseudonyms, no pixel decoded."""

from __future__ import annotations

import errno
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from zlib import crc32

from pipelines.ingest.decode import Inspected, Refused, inspect_file
from pipelines.ingest.guard import GuardedPool, GuardedWorker
from pipelines.ingest.overrides import Override, Overrides, excluded_detail, read_overrides
from pipelines.ingest.task import IngestTask, read_lines, write_lines
from pipelines.progress import Progress
from storage.deidentify import device
from storage.errors import InputError, Quarantined
from storage.identity import Secret, normalise
from storage.radiograph import Header, Identity
from storage.records import same_as

Found = Inspected | Refused
_NO_PATIENT = "neither its header nor ingest.subject_from tells whose it is"
SAME_FILE = "the same file"  # how the detail of a duplicate with equal bytes begins


@dataclass(frozen=True, slots=True)
class Source:
    """A file with films. `name`, its path below raw=, never enters the store."""

    name: str
    token: str
    sha256: str
    frames: int  # as its header claims
    chosen: tuple[int, ...]  # those that are films of the store
    keys: tuple[str, ...]  # of the chosen frames
    subject: str
    exam: str
    order: int  # of its first frame among the subject's films that stay, by time; `select` numbers them
    day: str  # on which it was taken, YYYYMMDD or empty; never enters the store
    device: str
    data_kind: str
    override: Override = field(default_factory=Override)
    crc32c: int | None = None  # of the file, to tell that it is still the same
    shared_uid: str = ""  # its SOP instance UID where other files carry it too; never enters the store


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
    """All files below raw=, each among the sources or the exclusions."""

    sources: list[Source]
    headers: dict[str, Header]  # of the sources, by token
    keys_by_name: dict[str, str]  # path below raw= -> key of the first chosen frame, of equal files the same
    exclusions: list[Exclusion]
    subjects_by_patient: dict[str, set[str]]  # normalised patient id -> subjects, one per issuer
    mixed: int = 0  # patient ids that headers give both with and without an issuer: a subject of each


def list_files(folder: Path, key: str, skip: Collection[Path] = ()) -> list[str]:
    """Paths below the folder in POSIX form, ordered by bytes; links to folders are listed, not followed.

    So is what can't be looked at, or lies deeper than the system's longest path: whoever reads it says why it is
    no film. InputError where there is nothing, or a folder can't be read.
    """
    if not folder.is_dir():
        raise InputError(f"{key}={folder} is not a folder.")
    root = os.path.realpath(folder)
    skipped = {os.path.realpath(path) for path in skip}
    names: list[str] = []

    def unreadable(error: OSError) -> None:
        if error.errno != errno.ENAMETOOLONG:
            raise InputError(
                f"A folder at or below {key}={folder} can't be read: {error.strerror}. "
                "Let whoever runs this read and search it, or move it away."
            ) from error
        names.append(os.path.relpath(error.filename, root))

    for parent, folders, files in os.walk(root, onerror=unreadable):
        links = {name for name in folders if _is_link(f"{parent}/{name}")}
        folders[:] = [name for name in folders if name not in links and f"{parent}/{name}" not in skipped]
        for name in (*files, *links):
            path = f"{parent}/{name}"
            # below a real folder only a link is not itself its real path; realpath bears links in circles
            if (os.path.realpath(path) if _is_link(path) else path) not in skipped:
                names.append(path[len(root) :].lstrip("/"))
    if not names:
        raise InputError(f"{key}={folder} holds no files; name a folder with films.")
    return sorted(names, key=os.fsencode)


def _is_link(path: str) -> bool:
    """False too where the path can't be looked at."""
    return os.path.islink(path)  # noqa: PTH114 - Path.is_symlink raises there


def scan_part(task: IngestTask, index: int, width: int, pool: GuardedPool, progress: Progress) -> None:
    """Look at one part of the files below raw=, each in a guarded child, and write down what they are.

    A file belongs to a part by its path alone: parts that list raw= while files come and go never take one
    twice, nor leave out one that was there all the time.
    """
    limits, run_id = task.limits, task.run_id
    listed = list_files(task.raw, "raw", task.no_films)
    read_overrides(task.overrides).check(listed)
    names = [name for name in listed if crc32(os.fsencode(name)) % width == index]
    del listed

    def inspect(worker: GuardedWorker, name: str) -> Found:
        try:
            return worker.call(inspect_file, task.raw / name, limits)
        except Quarantined as error:
            return Refused(error.reason, error.detail)

    def lines() -> Iterator[object]:
        yield run_id
        for done, (name, result) in enumerate(zip(names, pool.map(inspect, names), strict=True), 1):
            yield name, type(result).__name__, asdict(result)
            progress(done, len(names), "files looked at")

    write_lines(_part(task, index, width), lines())


def missing_scans(task: IngestTask, width: int) -> list[int]:
    """The parts of the scan that are still to be done: not there, or by a run that was killed before this began."""
    run_id = task.run_id
    paths = ((index, _part(task, index, width)) for index in range(width))
    return [index for index, path in paths if not path.exists() or next(read_lines(path), None) != run_id]


def scanned(task: IngestTask, width: int) -> Iterator[tuple[str, Found]]:
    """Every file below raw= and what it is, from all parts of the scan; one in memory at a time."""
    for index in range(width):
        for name, kind, fields in islice(read_lines(_part(task, index, width)), 1, None):
            yield name, Refused(**fields) if kind == Refused.__name__ else _inspected(fields, task.data_kind)


def _part(task: IngestTask, index: int, width: int) -> Path:
    return task.work / f"scan-{index:05d}-of-{width:05d}.jsonl"


def _inspected(fields: dict[str, Any], data_kind: str | None) -> Inspected:
    """Back from JSON; data_kind: what the caller says that the file is."""
    header = fields["header"]
    identity = header["identity"]
    identity = Identity(**identity | {name: tuple(identity[name]) for name in ("taken", "made_from")})
    kind = data_kind or header["data_kind"]
    header = Header(**header | {"identity": identity, "data_kind": kind})
    return Inspected(fields["sha256"], header, fields["crc32c"])


def identify(
    found: Iterable[tuple[str, Found]], secret: Secret, subject_from: str, overrides: Overrides | None = None
) -> Scan:
    """Give each file (path below raw=, what it is) its pseudonyms.

    Of files with the same bytes the first by token is kept, in whatever order they come. A film of nobody known
    stays out; InputError where that is more than half of those that `overrides` does not exclude.
    """
    overrides = overrides or Overrides()
    scan = Scan([], {}, {}, [], defaultdict(set))
    sources: dict[str, Source] = {}
    headers: dict[str, Header] = {}
    issuers: dict[str, set[str]] = defaultdict(set)  # of each patient id of the headers
    equal: list[Source] = []  # files whose bytes another has
    readable = nameless = 0
    for name, result in found:
        token = secret.token(name)
        if isinstance(result, Refused):
            scan.exclusions.append(Exclusion(token, 0, result.reason, result.detail, "scan"))
            continue
        patient = _patient(name, result.header, subject_from)
        unknown = not normalise(patient.patient_id)
        if unknown and (told := overrides.of([name])).exclude == "yes":
            scan.exclusions.append(Exclusion(token, 0, "excluded", excluded_detail(told), "scan"))
            continue
        readable += 1
        nameless += unknown
        if unknown:
            scan.exclusions.append(Exclusion(token, 0, "no_patient", _NO_PATIENT, "scan"))
            continue
        issuers[normalise(result.header.identity.patient_id)].add(normalise(patient.issuer))
        source = _source(token, name, result, patient, secret)
        for patient_id in (patient.patient_id, patient.other_id):
            scan.subjects_by_patient[normalise(patient_id)].add(source.subject)
        scan.keys_by_name[name] = source.keys[0]
        twin = sources.get(result.sha256)
        if twin is not None:
            source, later = sorted((source, twin), key=lambda one: one.token)
            equal.append(later)
        sources[result.sha256] = source
        headers[result.sha256] = result.header
    _check_patients(nameless, readable, subject_from)
    for later in equal:
        kept = sources[later.sha256]
        detail = same_as(SAME_FILE, kept.keys[0], across=kept.subject != later.subject)
        scan.exclusions.append(Exclusion(later.token, 0, "duplicate", detail, "scan"))
    scan.headers.update((source.token, headers[sha256]) for sha256, source in sources.items())
    scan.sources.extend(sorted(sources.values(), key=lambda one: one.token))
    issuers.pop("", None)  # of films whose header names no patient
    return replace(scan, mixed=sum(len(found) > 1 and "" in found for found in issuers.values()))


def subjects_of(
    headers: Mapping[str, Header], secret: Secret, subject_from: str, overrides: Overrides
) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    """Subjects by normalised patient id, and the days of each subject's films, by header and path alone.

    Films of nobody known as in `identify`.
    """
    patients = {name: _patient(name, header, subject_from) for name, header in headers.items()}
    nameless = [name for name, patient in patients.items() if not normalise(patient.patient_id)]
    excluded = sum(overrides.of([name]).exclude == "yes" for name in nameless)
    _check_patients(len(nameless) - excluded, len(patients) - excluded, subject_from)
    for name in nameless:
        del patients[name]
    subjects: dict[str, set[str]] = defaultdict(set)
    days: dict[str, list[str]] = defaultdict(list)
    for name, patient in patients.items():
        subject = secret.subject(patient.issuer, patient.patient_id)
        days[subject].append(_day(headers[name]))
        for patient_id in (patient.patient_id, patient.other_id):
            subjects[normalise(patient_id)].add(subject)
    return dict(subjects), dict(days)


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


def _check_patients(nameless: int, films: int, subject_from: str) -> None:
    """Raise InputError where the rule does not tell of most films whose they are; of a few, they are rows."""
    if 2 * nameless > films:
        where = "lie in raw= itself" if subject_from == "folder" else "do not fit the pattern"
        raise InputError(
            f"{nameless} of {films} films name no patient in their header and {where}, so "
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
        frames=result.header.frames,
        chosen=tuple(range(result.header.frames)),
        keys=tuple(secret.film_key(result.sha256, frame) for frame in range(result.header.frames)),
        subject=subject,
        exam=secret.exam(subject, identity.study),
        order=0,
        day=_day(result.header),
        device=device(identity.manufacturer, identity.model, secret),
        data_kind=result.header.data_kind,
        crc32c=result.crc32c,
    )


def _day(header: Header) -> str:
    return next(iter(header.identity.taken), "")
