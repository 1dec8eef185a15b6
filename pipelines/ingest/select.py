"""Which of the films go into the store, told by headers, configuration and overrides before a pixel is decoded.

Each film that stays out has its reason: excluded by a person, another body part, another view, the twin of a
film that stays, a frame that is not asked for. What is unknown of a film never keeps it out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from pipelines.ingest.overrides import Override, Overrides, frame_numbers
from pipelines.ingest.scan import Exclusion, Scan, Source
from pipelines.ingest.twins import left_out_twins
from storage.config import IngestConfig


def select(scan: Scan, config: IngestConfig, overrides: Overrides) -> Scan:
    """The scan with the films to be written, each under its override, and the others among the exclusions.

    Frames that are not asked for are in `unselected`: whether they exist is only known once their file is read.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for name, key in scan.keys_by_name.items():
        names[key].append(name)
    exclusions = list(scan.exclusions)
    sources = []
    for source in dict.fromkeys(source for source, _ in scan.films.values()):
        told = replace(source, override=overrides.of(names[source.keys[0]]))
        if reason := _refused(told, config):
            exclusions.append(Exclusion(source.token, 0, *reason, "scan"))
        else:
            sources.append(told)
    twins = left_out_twins(sources, config.twins)
    exclusions += [
        Exclusion(source.token, 0, "twin", f"ingest.twins={config.twins}", "scan")
        for source in sources
        if source.token in twins
    ]
    return _with_frames(scan, (source for source in sources if source.token not in twins), config, exclusions)


def _refused(source: Source, config: IngestConfig) -> tuple[str, str] | None:
    """Reason and detail for a file that stays out as a whole."""
    if source.override.exclude:
        return "excluded", "by ingest.overrides"
    part, view = source.header.body_part, source.override.view or source.header.view
    if config.body_parts and part and part not in config.body_parts:
        return "wrong_body_part", "the body part is not among ingest.body_parts"
    if config.views and view and view not in config.views:
        return "wrong_view", "the view is not among ingest.views"
    if not _frames(source, source.override, config):
        return "not_selected", "ingest.overrides names none of its frames"
    return None


def _frames(source: Source, override: Override, config: IngestConfig) -> frozenset[int]:
    return frame_numbers(override.frames or config.frames, len(source.keys))


def _with_frames(
    scan: Scan, sources: Iterable[Source], config: IngestConfig, exclusions: list[Exclusion]
) -> Scan:
    films, unselected = {}, []
    for source in sources:
        chosen = _frames(source, source.override, config)
        for frame, key in enumerate(source.keys):
            if frame in chosen:
                films[key] = (source, frame)
            else:
                unselected.append(Exclusion(source.token, frame, "not_selected", "", "scan"))
    return replace(scan, films=films, exclusions=exclusions, unselected=unselected)
