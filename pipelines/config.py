"""What a study is: its regions, positive class, outcome rule and intended population."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.errors import ConfigError, check_at_least

# What of a study decides over the outcomes' values alone: stages that read none need not run again for it.
OUTCOME_KEYS = ("outcome_column", "outcome_rule", "window_days")


@dataclass(kw_only=True, slots=True)
class StudyConfig:
    """A study. Label maps hold 0 for background and i + 1 for regions[i].

    window_days: how far a DXA may lie from the film; None for any distance.
    """

    name: str = "hand"
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
    positive: str = "osteoporosis"
    outcome_column: str = "t_score"
    outcome_rule: str = "<= -2.5"
    window_days: int | None = None
    unit: str = "subject"
    minimum_age_years: float = 20.0

    def __post_init__(self) -> None:
        if not self.regions:
            raise ConfigError("study.regions must name at least one region, but is empty.")
        if len(set(self.regions)) != len(self.regions):
            raise ConfigError(f"study.regions must be distinct, but is {self.regions}.")
        if self.unit != "subject":
            raise ConfigError(f"study.unit must be subject, the only unit there is, but is {self.unit}.")
        check_at_least("study.minimum_age_years", self.minimum_age_years, 0)
        if self.window_days is not None:
            check_at_least("study.window_days", self.window_days, 0)

    @property
    def num_classes(self) -> int:
        """Regions and background."""
        return len(self.regions) + 1
