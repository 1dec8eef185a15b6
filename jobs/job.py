"""What a job is: its name, its page, the keys it needs and takes. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.choices import GROUPS

COMMON = ("study", "cluster", "fresh")
PATHS = ("raw", "outcomes", "mapping", "annotations", "store", "out", "model", "segmenter")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One page in `jobs/`.

    required, optional: top-level keys that the user may type; sections: rooms whose keys apply;
    section: the room whose keys may be typed without its name (`pretrain batch_size=64`);
    config: name of the YAML in `jobs/conf` that picks the values; bare: the key that a word without `=` stands for;
    flags: short words, and the `key=value` that each stands for; clusters: what may stand right of cluster=;
    common: those of COMMON that have an effect; looks: it changes nothing; what it tells is all.
    """

    name: str
    summary: str
    page: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    section: str | None = None
    config: str = "base"
    example: str = ""
    bare: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    clusters: tuple[str, ...] = ("local",)
    common: tuple[str, ...] = COMMON
    looks: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that may stand left of the first dot or of the equals sign."""
        return (*self.single_keys, *self.sections)

    @property
    def single_keys(self) -> tuple[str, ...]:
        """The keys without a dot."""
        return (*self.required, *self.optional, *self.common)

    @property
    def groups(self) -> tuple[str, ...]:
        """The rooms of COMMON whose keys have an effect."""
        return tuple(group for group in GROUPS if group in self.common)
