"""What an ingest says when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storage.wording import counted


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What went in and what was left out; excluded, masks and rows: reason -> count."""

    films: int
    subjects: int
    excluded: dict[str, int]  # files, frames, masks and rows of the outcomes
    masks: dict[str, int]  # of these, masks
    rows: dict[str, int]  # of these, rows of the outcomes
    shards: int
    generation: str
    on_limit: int  # subjects whose outcome hangs on < or <=
    rule: str  # of the stored outcomes
    study_rule: str  # what the study asks for now; outcomes= was not given again where they differ
    advice: str = ""  # where many patients of the table have no film, or cells of it are not understood
    mixed: int = 0  # patient ids that headers give both with and without an issuer
    placeholders: int = 0  # films whose patient id is a word for nobody
    dropped: int = 0  # films of the generation before that are no longer below raw=
    across: int = 0  # films left out as duplicates of another subject's
    both_hands: int = 0  # films that show two, which are read as one
    no_view: int = 0  # films let in though no header says their view
    shared_uids: int = 0  # SOP instance UIDs that several of the films carry, with other pixels each

    def __str__(self) -> str:
        return "; ".join(self._clauses())

    def _clauses(self) -> Iterator[str]:
        films, subjects = counted(self.films, "film"), counted(self.subjects, "subject")
        yield f"{films} of {subjects} in {counted(self.shards, 'shard')}"
        files = Counter(self.excluded) - Counter(self.masks) - Counter(self.rows)
        yield f"{files.total():,} left out{_reasons(files)}"
        if self.masks:
            yield f"{counted(sum(self.masks.values()), 'mask')} not used{_reasons(self.masks)}"
        if self.rows:
            rows = counted(sum(self.rows.values()), "row of the outcomes", "rows of the outcomes")
            yield f"{rows} not used{_reasons(self.rows)}"
        if self.on_limit:
            yield f"exactly on the limit of {self.rule}: {self.on_limit}"
        if self.rule != self.study_rule:
            yield f"the outcomes follow {self.rule}, not the study's {self.study_rule}: give outcomes= again"
        if self.advice:
            yield self.advice
        if self.dropped:
            yield f"{counted(self.dropped, 'film')} left the store, no longer below raw="
        if self.mixed:
            yield f"{counted(self.mixed, 'patient id')} with and without an issuer: of one person, two subjects"
        if self.placeholders:
            films = counted(self.placeholders, "film")
            yield f"{films} under patient ids such as ANONYMOUS: patient_id in ingest.overrides tells people apart"
        if self.across:
            duplicates = counted(self.across, "duplicate")
            yield f"{duplicates} of another subject's film: one person under two ids? ingest.overrides takes patient_id"
        if self.both_hands:
            yield f"{counted(self.both_hands, 'film')} of both hands, read as one (store sheet which=flagged)"
        if self.no_view:
            yield f"{counted(self.no_view, 'film')} of unknown view let in"
        if self.shared_uids:
            yield f"several films share {counted(self.shared_uids, 'SOP instance UID')}"


def _reasons(excluded: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{count:,} {reason}' for reason, count in excluded.items())})" if excluded else ""
