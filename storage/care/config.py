"""What a user may say to the jobs that look into a store and care for it."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import check_at_least, check_one_of


@dataclass(kw_only=True, slots=True)
class ShowConfig:
    """Which film."""

    key: str | None = None
    """The film's key, or as much of its beginning as no other film has; `key=` may be left away."""


@dataclass(kw_only=True, slots=True)
class SheetConfig:
    """Which films are on the contact sheet."""

    films: int = 48
    """At most so many."""
    which: str = "random"
    """random, or flagged: polarity (not told, or against itself; `inverted` is told), side or spacing in doubt."""
    masks: bool = False
    """true draws the outlines of the masks."""
    seed: int = 0
    """Of the random choice."""

    def __post_init__(self) -> None:
        check_at_least("sheet.films", self.films, 1)
        check_one_of("sheet.which", self.which, ("random", "flagged"))


@dataclass(kw_only=True, slots=True)
class LsConfig:
    """Which films are listed, or what was left out."""

    subject: str | None = None
    """Films of this pseudonym, or of those that begin so."""
    exam: str | None = None
    """Films of this exam's pseudonym, or of those that begin so."""
    laterality: str | None = None
    """Films of this side: L, R or B."""
    view: str | None = None
    """Films of this view, such as PA."""
    modality: str | None = None
    """Films of this DICOM modality, such as DX."""
    reason: str | None = None
    """What was left out for this reason, instead of films; any lists all."""

    def __post_init__(self) -> None:
        if self.reason is not None:
            check_one_of("ls.reason", self.reason, (*_reasons(), "any"))


@dataclass(kw_only=True, slots=True)
class FindConfig:
    """Which files are looked for."""

    token: str | None = None
    """One or several tokens, films' keys or subjects, parted by commas, or their beginnings."""
    reason: str | None = None
    """All files that were left out for this reason; any is all that were left out."""
    key_file: str | None = None
    """The store's secret; null is STORE.key beside the store."""

    def __post_init__(self) -> None:
        if self.reason is not None:
            check_one_of("find.reason", self.reason, (*_reasons(), "any"))


@dataclass(kw_only=True, slots=True)
class RebuildConfig:
    """Which caches."""

    what: str = "all"
    """crops, windows, films, or all that a store can make without a model."""

    def __post_init__(self) -> None:
        check_one_of("rebuild.what", self.what, ("all", "crops", "windows", "films"))


@dataclass(kw_only=True, slots=True)
class GcConfig:
    """What stays."""

    keep: int = 1
    """Older generations that stay beside the live one."""
    dry: bool = False
    """true only says what would go."""

    def __post_init__(self) -> None:
        check_at_least("gc.keep", self.keep, 0)


@dataclass(kw_only=True, slots=True)
class EraseConfig:
    """Who."""

    subject: str | None = None
    """The person's pseudonym."""
    patient: str | None = None
    """The hospital's own id instead, which needs the store's secret."""
    issuer: str = ""
    """Who gave out that id, where the films' headers name one."""
    key_file: str | None = None
    """The store's secret; null is STORE.key beside the store."""


def _reasons() -> tuple[str, ...]:
    from storage.schemas import EXCLUSION_REASONS  # beside pyarrow, which help does without

    return EXCLUSION_REASONS
