"""Wrong values are refused by a sentence that names the field."""

from __future__ import annotations

import pytest

from pipelines.phantoms.config import PhantomsConfig
from storage.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"population": "dog"}, "phantoms.population must be one of adult, child, but is dog."),
        ({"effect": "huge"}, "phantoms.effect must be one of null, paper, demo, but is huge."),
        ({"subjects": -1}, "phantoms.subjects must be at least 0, but is -1."),
        ({"height": 8}, "phantoms.height must be between 96 and 4096, but is 8."),
        (
            {"subjects": 0, "unlabelled": 0},
            "phantoms.subjects and phantoms.unlabelled are both 0: ask for at least one.",
        ),
    ],
)
def test_wrong_values_name_their_field(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PhantomsConfig(**values)  # type: ignore[arg-type]
    assert str(caught.value) == sentence
