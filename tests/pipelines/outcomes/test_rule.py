from __future__ import annotations

import re

import pytest

from pipelines.outcomes.rule import parse_rule
from storage.errors import ConfigError


@pytest.mark.parametrize(
    ("rule", "outcomes"),
    [
        ("<= -2.5", [1, 1, 0]),
        ("< -2.5", [1, 0, 0]),
        (">= -2.5", [0, 1, 1]),
        ("> \u22122,5", [0, 0, 1]),
        ("==1", [0, 0, 0]),
    ],
)
def test_the_rule_decides_ties(rule: str, outcomes: list[int]) -> None:
    assert [parse_rule(rule).outcome(value) for value in (-2.6, -2.5, -2.4)] == outcomes


def test_a_tie_is_where_the_rules_part() -> None:
    strict, lenient = parse_rule("< -2.5"), parse_rule("<= -2,50")
    for value in (-2.6, -2.5, -2.4, -2.4999):
        assert strict.tied(value) == lenient.tied(value) == (strict.outcome(value) != lenient.outcome(value))


@pytest.mark.parametrize("rule", ["", "-2.5", "below -2.5", "<= low"])
def test_a_rule_that_is_none(rule: str) -> None:
    sentence = f"study.outcome_rule must be a comparison such as '<= -2.5', but is '{rule}'."
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        parse_rule(rule)
