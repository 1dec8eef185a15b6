"""The study's rule: which measured value makes an outcome positive."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.ingest.values import number
from storage.errors import ConfigError

TUBE_RULES = ("any_tube", "both_tubes", "given")  # of exams; see pipelines.outcomes.tubes
_RULE = re.compile(r"(<=|>=|<|>|==)\s*(\S+)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes an outcome positive."""

    text: str
    compare: Callable[[float, float], bool]
    limit: float

    def outcome(self, value: float) -> int:
        """1 for the study's positive class, else 0."""
        return int(self.compare(value, self.limit))

    def tied(self, value: float) -> bool:
        """Whether the value is the limit itself, where `<` and `<=` part."""
        return value == self.limit

    def severity(self, value: float) -> float:
        """Larger is nearer to positive: of several sites of one exam, the worst counts."""
        return -value if self.compare in (operator.le, operator.lt) else value


def parse_rule(text: str) -> Rule:
    """Read a rule such as "<= -2.5", or one of TUBE_RULES, whose values are 0 and 1."""
    if text.strip() in TUBE_RULES:
        return Rule(text.strip(), operator.ge, 0.5)
    match = _RULE.fullmatch(text.strip())
    limit = number(match[2]) if match else math.nan
    if match is None or math.isnan(limit):
        raise ConfigError(f"study.outcome_rule must be a comparison such as '<= -2.5', but is '{text}'.")
    return Rule(f"{match[1]} {limit:g}", _COMPARE[match[1]], limit)
