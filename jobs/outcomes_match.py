"""Before ingest: which patients of the table have films, which nearly do, and what of the table can't be read."""

from __future__ import annotations

from pathlib import Path

from cluster.local import num_processes
from jobs.config import Settings
from jobs.folders import existing
from jobs.progress import shown

NOTHING_USABLE, NOTHING_MATCHES = 1, 2


def main(settings: Settings) -> int:
    """`radmill outcomes match raw=DIR outcomes=FILE [mapping=FILE]`: prints, and writes nothing.

    Exit code 2 where no patient of the table has a film, 1 where no row of those who do can be used.
    """
    from pipelines.outcomes.films import people_below
    from pipelines.outcomes.report import match_report
    from pipelines.outcomes.sheet import read_outcome_sheet

    raw, outcomes = existing(str(settings.raw), "raw"), existing(str(settings.outcomes), "outcomes")
    mapping = existing(settings.mapping, "mapping") if settings.mapping else None
    sheet = read_outcome_sheet(outcomes, settings.study, mapping)
    overrides = Path(settings.ingest.overrides) if settings.ingest.overrides else None
    skip = [path for path in (outcomes, mapping, overrides) if path]
    with shown("outcomes match") as progress:
        people = people_below(raw, settings.ingest, skip, num_processes(settings.cluster), progress)
    report = match_report(sheet, settings.study, people)
    print(report)
    if not report.matched:
        return NOTHING_MATCHES
    return 0 if report.usable else NOTHING_USABLE
