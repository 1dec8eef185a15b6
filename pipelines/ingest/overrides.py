"""What a person who looked at the films says of some of them: ingest.overrides=FILE.

One row per path below raw=, or per glob over such paths; of several rows that fit a film, each column's last
entry counts. Paths live in memory alone. Why a film is excluded is kept where the column `reason` says it in one
of REASONS; free text, which may name someone, is not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from pipelines.ingest.sheet import Sheet, SheetRow, read_sheet
from pipelines.ingest.values import yes_no
from storage.config import FRAME_RULES
from storage.deidentify import SIDES
from storage.errors import InputError
from storage.polarity import POLARITIES
from storage.vocabulary import BODY_PARTS, VIEWS

KEY = "ingest.overrides"
REASONS = (
    *("artefact", "cast", "consent", "cut_off", "exposure", "foreign_body", "fracture", "implant", "motion"),
    *("other", "positioning", "surgery", "wrong_body_part", "wrong_patient", "wrong_side", "wrong_view"),
)

_WILD = re.compile(r"[*?[]")
_FRAMES = re.compile(r"\d+(?:-\d+)?(?:[ ,;]+\d+(?:-\d+)?)*")


@dataclass(frozen=True, slots=True)
class Override:
    """What is said of one film; empty where nothing is."""

    polarity: str = ""  # keep | invert, of what the file itself says
    laterality: str = ""
    view: str = ""
    frames: str = ""  # all | mid2 | first, or numbers from 1 such as 3 5-7
    exclude: str = ""  # yes | no
    reason: str = ""  # why it is excluded, one of REASONS
    patient_id: str = ""  # whose it is, whatever the file says
    body_part: str = ""

    @property
    def content(self) -> str:
        """What of it changes the film in its shard."""
        said = (self.polarity, self.laterality, self.view, self.body_part)
        return repr(said) if any(said) else ""


@dataclass(frozen=True)
class Overrides:
    """All rows, in their order."""

    rows: tuple[tuple[int, str, Override], ...] = ()  # line, path or glob, what is said

    def of(self, names: Collection[str]) -> Override:
        """What is said of a film that lies at these paths."""
        told = Override()
        by_path = {place for name in names for place in self._by_path.get(name, ())}
        by_glob = {place for place in self._globs for name in names if fnmatchcase(name, self.rows[place][1])}
        for place in sorted(by_path | by_glob):
            override = self.rows[place][2]
            said = {one.name: value for one in fields(override) if (value := getattr(override, one.name))}
            told = replace(told, **said)
        return told

    @cached_property
    def _by_path(self) -> dict[str, list[int]]:
        """Places in `rows`, by what each names: tables of as many rows as films must not be read film by film."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, (_, pattern, _) in enumerate(self.rows):
            places[pattern].append(place)
        return dict(places)

    @cached_property
    def _globs(self) -> list[int]:
        return [place for place, (_, pattern, _) in enumerate(self.rows) if _WILD.search(pattern)]

    def check(self, names: Iterable[str]) -> None:
        """Raise InputError, naming its line, for a row that fits none of the files."""
        known = set(names)
        for line, pattern, _ in self.rows:
            if pattern not in known and not any(fnmatchcase(name, pattern) for name in known):
                raise InputError(
                    f"Line {line} of {KEY} fits no file below raw=. "
                    "A path is relative to raw= and may hold * and ?: FOLDER/* is what lies in a folder. Correct it, "
                    "or name the raw= that holds all films; a line that is removed no longer excludes anything."
                )


def excluded_detail(override: Override) -> str:
    """What the exclusion of an excluded film says."""
    return f"by {KEY}: {override.reason}" if override.reason else f"by {KEY}"


def read_overrides(path: Path | None) -> Overrides:
    """Read the table, if there is one; InputError naming line and column for an entry that is not understood."""
    if path is None:
        return Overrides()
    sheet = read_sheet(path, KEY, ("path",))
    unknown = [column for column in sheet.columns if column not in ("path", *_CHECKS)]
    if unknown:
        raise InputError(
            f"{sheet.what} may have the columns path, {', '.join(_CHECKS)}, but has {', '.join(unknown)}."
        )
    return Overrides(tuple(_row(sheet, row) for row in sheet.rows))


def frame_numbers(rule: str, count: int) -> frozenset[int]:
    """The frames, from 0, that all, mid2, first or numbers from 1 choose of `count`.

    mid2: the two in the middle, the earlier ones where their number is odd; of one or two, all.
    """
    if rule == "all":
        return frozenset(range(count))
    if rule == "first":
        return frozenset({0})
    if rule == "mid2":
        return frozenset(range(max(0, count // 2 - 1), min(count, count // 2 + 1)))
    chosen: set[int] = set()
    for part in re.split(r"[ ,;]+", rule):
        first, _, last = part.partition("-")
        chosen.update(range(max(1, int(first)) - 1, min(int(last or first), count)))
    return frozenset(chosen)


def _row(sheet: Sheet, row: SheetRow) -> tuple[int, str, Override]:
    where = f"Line {row.line} of {sheet.what}"
    if row.too_long:
        raise InputError(f"{where} has more cells than columns; quote an entry that holds the separator.")
    path = row.get("path", "").replace("\\", "/").removeprefix("./")
    if not path:
        raise InputError(f"{where} names no path.")
    said = {}
    for column, (normal, allowed) in _CHECKS.items():
        value = normal(row.get(column, ""))
        if value and not allowed(value):
            raise InputError(f"{where}: the column {column} {_EXPECTED[column]}.")
        said[column] = value
    # beside a correction a reason says why of that
    if [column for column, value in said.items() if value] == ["reason"]:
        said["exclude"] = "yes"
    return row.line, path, Override(**said)


_CHECKS: dict[str, tuple[Callable[[str], str], Callable[[str], object]]] = {
    "polarity": (str.lower, POLARITIES.__contains__),
    "laterality": (str.upper, SIDES.__contains__),
    "view": (str.upper, VIEWS.__contains__),
    "body_part": (str.lower, BODY_PARTS.__contains__),
    "frames": (str.lower, lambda text: text in FRAME_RULES or bool(_FRAMES.fullmatch(text))),
    "reason": (str.lower, REASONS.__contains__),
    "patient_id": (str.strip, bool),
    # a word that says no takes back what an earlier row excludes, any other excludes
    "exclude": (lambda text: "no" if yes_no(text) is False else text and "yes", bool),
}
_EXPECTED = {
    "polarity": "must be keep or invert",
    "laterality": f"must be one of {', '.join(SIDES)}",
    "view": f"must be one of {', '.join(VIEWS)}",
    "body_part": f"must be one of {', '.join(BODY_PARTS)}",
    "frames": "must be all, mid2, first, or numbers from 1 such as 3 5-7",
    "reason": f"must be one of {', '.join(REASONS)}",
    "exclude": "must be empty, or any word",
    "patient_id": "must be empty, or an id",
}
