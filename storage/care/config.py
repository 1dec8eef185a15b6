"""What a user may say to the jobs that look into a store and care for it."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import check_at_least, check_one_of
from storage.schemas import EXCLUSION_REASONS


@dataclass(kw_only=True, slots=True)
class ShowConfig:
    """key: a film's key, or as much of its beginning as no other film has."""

    key: str | None = None


@dataclass(kw_only=True, slots=True)
class SheetConfig:
    """films: how many; which: random, or flagged (polarity, side or spacing in doubt); masks: their outlines."""

    films: int = 48
    which: str = "random"
    masks: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least("sheet.films", self.films, 1)
        check_one_of("sheet.which", self.which, ("random", "flagged"))


@dataclass(kw_only=True, slots=True)
class LsConfig:
    """Filters; pseudonyms by their beginning. reason: lists what was left out for it instead of films."""

    subject: str | None = None
    exam: str | None = None
    laterality: str | None = None
    view: str | None = None
    modality: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.reason is not None:
            check_one_of("ls.reason", self.reason, (*EXCLUSION_REASONS, "any"))


@dataclass(kw_only=True, slots=True)
class FindConfig:
    """token: one or several, parted by commas, or their beginnings; reason: all that were left out for it."""

    token: str | None = None
    reason: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if self.reason is not None:
            check_one_of("find.reason", self.reason, EXCLUSION_REASONS)


@dataclass(kw_only=True, slots=True)
class RebuildConfig:
    """what: crops, or all caches that a store can make without a model."""

    what: str = "all"

    def __post_init__(self) -> None:
        check_one_of("rebuild.what", self.what, ("all", "crops"))


@dataclass(kw_only=True, slots=True)
class GcConfig:
    """keep: older generations that stay beside the live one; dry: only says what would go."""

    keep: int = 1
    dry: bool = False

    def __post_init__(self) -> None:
        check_at_least("gc.keep", self.keep, 0)


@dataclass(kw_only=True, slots=True)
class EraseConfig:
    """subject: the pseudonym; or patient: the hospital's own id, with its issuer where the header names one."""

    subject: str | None = None
    patient: str | None = None
    issuer: str = ""
    key_file: str | None = None
