"""What a user may set about reading films into a store and about splitting its subjects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from storage.errors import ConfigError, check_at_least, check_one_of
from storage.vocabulary import BODY_PARTS, VIEWS

PROTOCOLS = ("folds", "paper")
SPLIT_BY = ("random", "site")
CODECS = ("png", "htj2k")
FRAME_RULES = ("all", "mid2", "first")


@dataclass(kw_only=True, slots=True)
class IngestConfig:
    """How raw films become a store."""

    subject_from: str = "folder"
    """Whose film it is where no header has a patient id: file (name), folder, or regex:PATTERN with a group. The
    pattern is searched in the path below raw=; its group `subject`, or else its first, is the id."""
    films_per_shard: int = 64
    """Films of a shard, give or take whole subjects."""
    codec: str = "png"
    """png, which everything opens, or htj2k, smaller on real films; a gray JPEG stays as it came."""
    max_megapixels: float = 64.0
    """Larger frames are left out; of a loop, each frame counts alone."""
    max_file_mb: float = 512.0
    """Larger files are left out."""
    timeout_s: float = 60.0
    """Bounds the reading of a file."""
    memory_gb: float = 4.0
    """Bounds the reading of a file too."""
    key_file: str | None = None
    """The secret behind all pseudonyms, made at the first ingest; null is STORE.key beside the store."""
    modalities: list[str] = field(default_factory=lambda: ["CR", "DX", "RG", "RF", "XA"])
    """DICOM modalities that are films. Objects of the class SC, MG, PR, KO or SR are films only if that is named."""
    body_parts: list[str] = field(default_factory=list)
    """Keeps out films known to show another part of the body; empty leaves it to study.body_parts."""
    views: list[str] = field(default_factory=list)
    """Keeps out films known to show another view, such as PA; empty leaves it to study.views."""
    frames: str = "all"
    """Of each file: all, first, or mid2, the two in the middle."""
    twins: str = "presentation"
    """Of an exposure sent FOR PRESENTATION and FOR PROCESSING: presentation, processing, or both stay."""
    drop_missing: bool = False
    """Lets films leave the store whose files are no longer below raw=; else such an ingest is refused."""
    overrides: str | None = None
    """A table: path (below raw=, or a glob), polarity, laterality, view, body_part, frames, exclude, patient_id ..."""

    def __post_init__(self) -> None:
        check_subject_from(self.subject_from)
        check_at_least("ingest.films_per_shard", self.films_per_shard, 1)
        check_one_of("ingest.codec", self.codec, CODECS)
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
        check_one_of("ingest.frames", self.frames, FRAME_RULES)
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
    """Which subjects a model learns from and which it is tested on: folds by subject, repeated."""

    protocol: str = "folds"
    """folds, dealt by subject; or paper: per repeat 80 % train, 10 % validate and 10 % test, as the hand paper did."""
    by: str = "random"
    """random, stratified by outcome; or site: every X-ray machine is tested by a model that saw only the others."""
    folds: int = 5
    """Parts of the subjects; each is tested once per repeat."""
    repeats: int = 3
    """How often the subjects are dealt anew."""
    seed: int = 2023
    """Of the first repeat; the next ones count up."""

    def __post_init__(self) -> None:
        check_one_of("splits.protocol", self.protocol, PROTOCOLS)
        check_one_of("splits.by", self.by, SPLIT_BY)
        if self.by == "site" and (self.protocol, self.repeats) != ("folds", 1):
            raise ConfigError(
                "splits.by=site needs splits.protocol=folds and splits.repeats=1: sites stay the same."
            )
        check_at_least("splits.folds", self.folds, 2)
        check_at_least("splits.repeats", self.repeats, 1)
        check_at_least("splits.seed", self.seed, 0)
