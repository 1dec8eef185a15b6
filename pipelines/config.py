"""What a study is: its regions, positive class, outcome rule and intended population."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.errors import ConfigError, check_at_least, check_one_of
from storage.vocabulary import BODY_PARTS, VIEWS

# What of a study decides over the outcomes' values alone: stages that read none need not run again for it.
OUTCOME_KEYS = ("outcome_column", "outcome_rule", "window_days")
INGEST_KEYS = ("views", "body_parts")  # likewise, over which films go into a store
FILM_RULES = ("all", "mid2", "first", "last_full")
WHOLE = ["whole"]  # the regions of a study that reads films without segmenting them
# What stands for a study's bones: themselves; the whole film; squares anywhere on the film, as many as the hand has
# bones (the hand paper's table 2).
BONES = "bones"
REGIONS = (BONES, "whole", "patches")
PATCHES = [f"patch{number}" for number in range(1, 8)]


@dataclass(kw_only=True, slots=True)
class StudyConfig:
    """A study. Label maps hold 0 for background and i + 1 for regions[i]."""

    name: str = "hand"
    """The study's name, as in study=."""
    regions: list[str] = field(
        default_factory=lambda: [
            "ulna",
            "radius",
            "metacarpal1",
            "metacarpal2",
            "metacarpal3",
            "metacarpal4",
            "metacarpal5",
        ]
    )
    """Names of the bones, in the order of their numbers in the masks."""
    positive: str = "osteoporosis"
    """What an outcome of 1 is called."""
    outcome_column: str = "t_score"
    """Column of outcomes= that holds the measured value."""
    outcome_rule: str = "<= -2.5"
    """Comparison that makes a value positive; of exams any_tube, both_tubes or given."""
    window_days: int | None = None
    """How many days a DXA may lie from the film; null for any distance."""
    unit: str = "subject"
    """What gets one outcome: subject, or exam."""
    films: str = "all"
    """Which films of an exam are read: all, mid2 (the two in the middle by time), first, or last_full filling."""
    views: list[str] = field(default_factory=list)
    """Keeps out films known to show another view where ingest.views is empty; empty lets all in."""
    body_parts: list[str] = field(default_factory=list)
    """Keeps out films known to show another part of the body where ingest.body_parts is empty; empty lets all in."""
    minimum_age_years: float = 20.0
    """Younger people get no probability."""

    def __post_init__(self) -> None:
        if not self.regions:
            raise ConfigError("study.regions must name at least one region, but is empty.")
        if len(set(self.regions)) != len(self.regions):
            raise ConfigError(f"study.regions must be distinct, but is {self.regions}.")
        check_one_of("study.unit", self.unit, ("subject", "exam"))
        check_one_of("study.films", self.films, FILM_RULES)
        for view in self.views:
            check_one_of("study.views", view, VIEWS)
        for part in self.body_parts:
            check_one_of("study.body_parts", part, BODY_PARTS)
        check_at_least("study.minimum_age_years", self.minimum_age_years, 0)
        if self.window_days is not None:
            check_at_least("study.window_days", self.window_days, 0)

    @property
    def whole_films(self) -> bool:
        """Whether the film itself is the region, so that nothing is segmented."""
        return self.regions == WHOLE

    def names(self, regions: str) -> list[str]:
        """Names of what stands for the bones, one of REGIONS."""
        return {"whole": WHOLE, "patches": PATCHES}.get(regions, self.regions)

    @property
    def num_classes(self) -> int:
        """Regions and background."""
        return len(self.regions) + 1
