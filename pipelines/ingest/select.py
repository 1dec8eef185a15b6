"""Which of the films go into the store, told by headers, configuration and overrides before a pixel is decoded.

Each file that stays out has its reason: excluded by a person, another body part, another view, the twin of a
film that stays, no frame that is asked for. What is unknown of a film never keeps it out.

Twins are told apart by their headers, so the one that is kept may turn out not to be readable: then its exposure
is in no generation, and both exclusions say so; ingest.twins=both takes in what there is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pipelines.config import StudyConfig
from pipelines.ingest.identify import Exclusion, Scan, Source
from pipelines.ingest.overrides import Override, Overrides, excluded_detail, frame_numbers
from pipelines.ingest.twins import left_out_twins
from storage.config import IngestConfig
from storage.radiograph import Header

_TWIN = "its twin was chosen, readable or not,"


def select(scan: Scan, config: IngestConfig, overrides: Overrides, study: StudyConfig) -> Scan:
    """The scan with the files to be written, each under its override and with the frames that are asked for.

    The others are among the exclusions. Where `config` gates no views or body parts, the study does.
    What is left of the headers is which UIDs several files share.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for name, key in scan.keys_by_name.items() if overrides.rows else ():
        names[key].append(name)
    exclusions = list(scan.exclusions)
    sources, first_chosen = [], {}
    for source in scan.sources:
        told = _with_frames(source, overrides.of(names.get(source.keys[0], ())), config)
        first_chosen[source.keys[0]] = next(iter(told.keys), source.keys[0])
        if reason := _refused(told, scan.headers[source.token], config, study):
            exclusions.append(Exclusion(source.token, 0, *reason, "scan"))
        else:
            sources.append(told)
    twins = left_out_twins(sources, scan.headers, config.twins)
    exclusions += [
        Exclusion(source.token, 0, "twin", f"{_TWIN} by ingest.twins={config.twins}", "scan")
        for source in sources
        if source.token in twins
    ]
    staying = [source for source in sources if source.token not in twins]
    staying = list(_in_order(_with_uids(staying, scan.headers), scan.headers))
    keys = {name: first_chosen[key] for name, key in scan.keys_by_name.items()}
    return Scan(staying, {}, keys, exclusions, scan.subjects_by_patient)


def _with_frames(source: Source, override: Override, config: IngestConfig) -> Source:
    rule = override.frames or config.frames
    if rule == "all":
        return replace(source, override=override)
    chosen = tuple(sorted(frame_numbers(rule, source.frames)))
    keys = tuple(source.keys[frame] for frame in chosen)
    return replace(source, override=override, chosen=chosen, keys=keys)


def _refused(
    source: Source, header: Header, config: IngestConfig, study: StudyConfig
) -> tuple[str, str] | None:
    """Reason and detail for a file that stays out as a whole."""
    if source.override.exclude == "yes":
        return "excluded", excluded_detail(source.override)
    said = source.override
    shown = {"body_part": said.body_part or header.body_part, "view": said.view or header.view}
    for what, value in shown.items():
        key, allowed = _gate(f"{what}s", config, study)
        if allowed and value and value not in allowed:
            return f"wrong_{what}", f"the {what.replace('_', ' ')} is not among {key}"
    if not source.chosen:
        return "not_selected", "ingest.overrides names none of its frames"
    return None


def _gate(name: str, config: IngestConfig, study: StudyConfig) -> tuple[str, list[str]]:
    """The key whose words films must bear, and the words: ingest's, or else the study's."""
    words: list[str] = getattr(config, name)
    return (f"ingest.{name}", words) if words else (f"study.{name}", getattr(study, name))


def _in_order(sources: Iterable[Source], headers: Mapping[str, Header]) -> Iterator[Source]:
    """The sources with their place in time among the subject's films; times themselves stay behind."""

    def when(source: Source) -> tuple[str, tuple[str, ...], str]:
        return source.subject, headers[source.token].identity.taken, source.keys[0]

    next_order: dict[str, int] = defaultdict(int)
    for source in sorted(sources, key=when):
        yield replace(source, order=next_order[source.subject])
        next_order[source.subject] += source.frames


def _with_uids(sources: list[Source], headers: dict[str, Header]) -> list[Source]:
    files = Counter(headers[source.token].identity.instance for source in sources)
    shared = {uid for uid, count in files.items() if uid and count > 1}
    if not shared:
        return sources
    uids = ((source, headers[source.token].identity.instance) for source in sources)
    return [replace(source, shared_uid=uid) if uid in shared else source for source, uid in uids]
