"""What a user may ask of the predictions."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import ConfigError, check_at_least, check_one_of

CONTRASTS = ("age_sex", "ost", "mci2")
FIXED_CONTRAST = "mci2"  # of a finished model: it needs no fitting


@dataclass(kw_only=True, slots=True)
class EvaluationConfig:
    """Which comparison counts, and for whom the model is meant."""

    contrast: str = "age_sex"
    """The comparison fixed beforehand: the network against age_sex (in evaluate mci2), ost or mci2; others by Holm."""
    prevalence: float | None = None
    """Share of positives where the model will be used, for predictive values and net benefit; null: the cohort's."""
    subgroup_floor: int = 20
    """Smaller subgroups, and those with fewer than five of a class, get no figures."""
    margin: float = 0.3
    """Results are repeated without measured values closer than this to the limit of study.outcome_rule."""

    def __post_init__(self) -> None:
        check_one_of("evaluation.contrast", self.contrast, CONTRASTS)
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ConfigError(f"evaluation.prevalence must lie between 0 and 1, but is {self.prevalence}.")
        check_at_least("evaluation.subgroup_floor", self.subgroup_floor, 10)
        check_at_least("evaluation.margin", self.margin, 0)
