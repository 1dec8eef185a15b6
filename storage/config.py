"""What a user may set about reading films into a store and about splitting its subjects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from storage.errors import ConfigError, check_at_least, check_one_of
from storage.vocabulary import BODY_PARTS, VIEWS

PROTOCOLS = ("folds",)


@dataclass(kw_only=True, slots=True)
class IngestConfig:
    """How raw films become a store.

    A film's subject is the patient id in its own header where there is one. subject_from says what stands for
    it elsewhere: file (its name), folder (the one that holds it), or regex:PATTERN over the path below raw=,
    whose group `subject`, or else first group, is the id. key_file: the secret behind all pseudonyms, made at
    the first ingest; None is STORE.key beside the store. memory_gb and timeout_s bound the reading of a file.

    body_parts and views keep out films known to show another; empty lists let all in, and so does a header that
    does not tell. frames: all, first, or mid2, the two in the middle of each object. twins: of an exposure sent
    both FOR PRESENTATION and FOR PROCESSING, the one that stays, or both. overrides: a table with path, relative
    to raw= or a glob, and any of polarity (keep, invert), laterality, view, frames (as above, or numbers from
    1) and exclude. modalities may name SC, MG, PR, KO and SR, whose objects are else refused by their class.
    """

    subject_from: str = "folder"
    films_per_shard: int = 64
    max_megapixels: float = 64.0
    max_file_mb: float = 512.0
    timeout_s: float = 60.0
    memory_gb: float = 4.0
    key_file: str | None = None
    modalities: list[str] = field(default_factory=lambda: ["CR", "DX", "RG", "RF", "XA"])
    body_parts: list[str] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    frames: str = "all"
    twins: str = "presentation"
    overrides: str | None = None

    def __post_init__(self) -> None:
        check_subject_from(self.subject_from)
        check_at_least("ingest.films_per_shard", self.films_per_shard, 1)
        check_at_least("ingest.max_megapixels", self.max_megapixels, 0.01)
        check_at_least("ingest.max_file_mb", self.max_file_mb, 0.01)
        check_at_least("ingest.timeout_s", self.timeout_s, 0.1)
        check_at_least("ingest.memory_gb", self.memory_gb, 0.25)
        if not self.modalities:
            raise ConfigError("ingest.modalities must name at least one DICOM modality, but is empty.")
        for part in self.body_parts:
            check_one_of("ingest.body_parts", part, BODY_PARTS)
        for view in self.views:
            check_one_of("ingest.views", view, VIEWS)
        check_one_of("ingest.frames", self.frames, ("all", "mid2", "first"))
        check_one_of("ingest.twins", self.twins, ("presentation", "processing", "both"))


def check_subject_from(rule: str) -> None:
    """Raise ConfigError unless the rule is file, folder or regex: with a pattern that has a group."""
    if not rule.startswith("regex:"):
        check_one_of("ingest.subject_from", rule, ("file", "folder", "regex:PATTERN"))
        return
    try:
        groups = re.compile(rule.removeprefix("regex:")).groups
    except re.error as error:
        raise ConfigError(f"ingest.subject_from holds a pattern that is not valid: {error}.") from error
    if not groups:
        raise ConfigError("ingest.subject_from must hold a group, such as regex:([^/]+)/, but has none.")


@dataclass(kw_only=True, slots=True)
class SplitConfig:
    """Which subjects a model learns from and which it is tested on: stratified folds by subject, repeated."""

    protocol: str = "folds"
    folds: int = 5
    repeats: int = 3
    seed: int = 2023

    def __post_init__(self) -> None:
        check_one_of("splits.protocol", self.protocol, PROTOCOLS)
        check_at_least("splits.folds", self.folds, 2)
        check_at_least("splits.repeats", self.repeats, 1)
        check_at_least("splits.seed", self.seed, 0)
