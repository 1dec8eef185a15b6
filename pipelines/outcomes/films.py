"""Whose films lie below raw=, and of which days: told by headers and paths alone, before any ingest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.ingest.decode import Refused, read_header
from pipelines.ingest.identify import Filmed, filmed
from pipelines.ingest.overrides import read_overrides
from pipelines.ingest.scan import list_files
from pipelines.ingest.task import decoders, limits_of
from pipelines.progress import Progress, silent
from storage.config import IngestConfig
from storage.errors import Quarantined
from storage.identity import Secret
from storage.radiograph import Header


@dataclass(frozen=True, slots=True)
class People:
    """The films' subjects under pseudonyms that nobody keeps."""

    filmed: Filmed
    films: int  # files
    refused: int  # files that are no films


def people_below(
    raw: Path,
    config: IngestConfig,
    skip: Sequence[Path] = (),
    processes: int = 1,
    progress: Progress = silent,
) -> People:
    """Read every header below raw. InputError where there is no file, or no telling whose a film is."""
    names = list_files(raw, "raw", skip)
    limits = limits_of(config)
    overrides = read_overrides(Path(config.overrides) if config.overrides else None)

    def look(name: str) -> Header | Refused:
        try:
            return pool.call(read_header, raw / name, limits)
        except Quarantined as error:
            return Refused(error.reason, error.detail)

    headers: dict[str, Header] = {}
    with decoders(config, processes) as pool:
        for done, (name, result) in enumerate(zip(names, pool.map(look, names), strict=True), start=1):
            if isinstance(result, Header):
                headers[name] = result
            progress(done, len(names), "headers read")
    found = filmed(headers, Secret.phantom(), config.subject_from, overrides)
    return People(found, len(headers), len(names) - len(headers))
