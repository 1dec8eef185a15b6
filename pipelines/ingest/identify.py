"""Files that were looked at become films under pseudonyms: whose they are, and which is the same file again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pipelines.ingest.decode import Found, Inspected, Refused
from pipelines.ingest.overrides import Override, Overrides, excluded_detail
from storage.deidentify import device
from storage.errors import InputError
from storage.identity import Secret, normalise
from storage.radiograph import Header
from storage.records import same_as

_NO_PATIENT = "neither its header nor ingest.subject_from tells whose it is"
# What stands in the place of an id; stars and dashes are stripped first.
_NOBODY = (
    *("", "0", "000000", "999999", "anon", "anonym", "anonymized", "anonymised", "anonymous", "deidentified"),
    *("n/a", "na", "nobody", "none", "null", "patient", "removed", "test", "unbekannt", "unknown", "xxx"),
)
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
    placeholders: int = 0  # files whose patient id is a word for nobody


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
        told = overrides.of([name])
        patient = _patient(name, result.header, subject_from) or _as_told(told)
        unknown = not normalise(patient.patient_id)
        if unknown and told.exclude == "yes":
            scan.exclusions.append(Exclusion(token, 0, "excluded", excluded_detail(told), "scan"))
            continue
        readable += 1
        nameless += unknown
        if unknown:
            scan.exclusions.append(Exclusion(token, 0, "no_patient", _NO_PATIENT, "scan"))
            continue
        source = _source(token, name, result, patient, secret)
        if not told.patient_id:
            issuers[normalise(result.header.identity.patient_id)].add(normalise(patient.issuer))
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
    issuers.pop("", None)  # of films whose header names no patient
    told_by_key = _told_patients(scan.keys_by_name, overrides)
    for sha256, source in sources.items():
        if whose := told_by_key.get(source.keys[0]):
            subject = secret.subject(_only_issuer(whose, issuers), whose)
            sources[sha256] = _given_to(subject, source, headers[sha256], secret)
            scan.subjects_by_patient[normalise(whose)].add(subject)
    for later in equal:
        kept = sources[later.sha256]
        detail = same_as(SAME_FILE, kept.keys[0], across=kept.subject != later.subject)
        scan.exclusions.append(Exclusion(later.token, 0, "duplicate", detail, "scan"))
    scan.headers.update((source.token, headers[sha256]) for sha256, source in sources.items())
    scan.sources.extend(sorted(sources.values(), key=lambda one: one.token))
    mixed = sum(len(found) > 1 and "" in found for found in issuers.values())
    untold = (headers[sha256] for sha256, one in sources.items() if one.keys[0] not in told_by_key)
    return replace(scan, mixed=mixed, placeholders=sum(map(_is_placeholder, untold)))


def _told_patients(keys_by_name: Mapping[str, str], overrides: Overrides) -> dict[str, str]:
    """Key of a file's first film -> whose it is by `overrides`, which may name any of its paths."""
    if not any(override.patient_id for _, _, override in overrides.rows):
        return {}
    names: dict[str, list[str]] = defaultdict(list)
    for name, key in keys_by_name.items():
        names[key].append(name)
    told = {key: overrides.of(paths).patient_id for key, paths in names.items()}
    return {key: patient_id for key, patient_id in told.items() if patient_id}


def _given_to(subject: str, source: Source, header: Header, secret: Secret) -> Source:
    return replace(source, subject=subject, exam=secret.exam(subject, header.identity.study))


def _only_issuer(patient_id: str, issuers: Mapping[str, set[str]]) -> str:
    """Of the headers that give this id, where it is but one: the film joins that person."""
    known = issuers.get(normalise(patient_id), set())
    return next(iter(known)) if len(known) == 1 else ""


def _is_placeholder(header: Header) -> bool:
    patient_id = header.identity.patient_id.strip()
    return bool(patient_id) and patient_id.strip(" *-_.").casefold() in _NOBODY


@dataclass(frozen=True, slots=True)
class Filmed:
    """Who has films: subjects by normalised patient id, one per issuer; by subject the days of its films (YYYYMMDD or
    empty); and subject and exam of every examination."""

    subjects_by_patient: dict[str, set[str]]
    film_days: dict[str, list[str]]
    exams: set[tuple[str, str]]


def filmed(headers: Mapping[str, Header], secret: Secret, subject_from: str, overrides: Overrides) -> Filmed:
    """Who has films by header and path alone; films of nobody known as in `identify`."""
    told = {name: overrides.of([name]) for name in headers}
    patients = {
        name: _patient(name, header, subject_from) or _as_told(told[name]) for name, header in headers.items()
    }
    nameless = [name for name, patient in patients.items() if not normalise(patient.patient_id)]
    excluded = sum(told[name].exclude == "yes" for name in nameless)
    _check_patients(len(nameless) - excluded, len(patients) - excluded, subject_from)
    for name in nameless:
        del patients[name]
    issuers: dict[str, set[str]] = defaultdict(set)
    for name, patient in patients.items():
        if not told[name].patient_id:
            issuers[normalise(patient.patient_id)].add(normalise(patient.issuer))
    for name in patients:
        if patient_id := told[name].patient_id:
            patients[name] = Patient(_only_issuer(patient_id, issuers), patient_id, patient_id)
    subjects: dict[str, set[str]] = defaultdict(set)
    days: dict[str, list[str]] = defaultdict(list)
    exams: set[tuple[str, str]] = set()
    for name, patient in patients.items():
        subject = secret.subject(patient.issuer, patient.patient_id)
        days[subject].append(_day(headers[name]))
        exams.add((subject, secret.exam(subject, headers[name].identity.study)))
        for patient_id in (patient.patient_id, patient.other_id):
            subjects[normalise(patient_id)].add(subject)
    return Filmed(dict(subjects), dict(days), exams)


def _patient(name: str, header: Header, subject_from: str) -> Patient | None:
    """From the header, else by the rule on the path; None where neither tells."""
    if normalise(header.identity.patient_id):
        return Patient(header.identity.issuer, header.identity.patient_id, header.identity.patient_id)
    by_path = _by_path(name, subject_from)
    return by_path if normalise(by_path.patient_id) else None


def _as_told(told: Override) -> Patient:
    """By a person's word; an empty id where there is none."""
    return Patient("", told.patient_id, told.patient_id)


def _by_path(name: str, subject_from: str) -> Patient:
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
