"""A study's settings are refused at once, by name, not hours later."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipelines.config import StudyConfig
from storage.errors import ConfigError
from storage.vocabulary import BODY_PARTS, VIEWS


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"unit": "film"}, "study.unit must be one of subject, exam, but is film."),
        ({"films": "odd"}, "study.films must be one of all, mid2, first, last_full, but is odd."),
        ({"regions": []}, "study.regions must name at least one region, but is empty."),
        (
            {"body_parts": ["brain"]},
            f"study.body_parts must be one of {', '.join(BODY_PARTS)}, but is brain.",
        ),
        ({"views": ["pa"]}, f"study.views must be one of {', '.join(VIEWS)}, but is pa."),
        ({"minimum_age_years": -1}, "study.minimum_age_years must be at least 0, but is -1."),
    ],
)
def test_a_bad_value_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        StudyConfig(**changes)
