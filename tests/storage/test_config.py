from __future__ import annotations

import re
from typing import Any

import pytest

from storage.config import IngestConfig, SplitConfig
from storage.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"films_per_shard": 0}, "ingest.films_per_shard must be at least 1, but is 0."),
        ({"memory_gb": 0}, "ingest.memory_gb must be at least 0.25, but is 0."),
        (
            {"subject_from": "name"},
            "ingest.subject_from must be one of file, folder, regex:PATTERN, but is name.",
        ),
        (
            {"subject_from": "regex:p[0-9]+"},
            "ingest.subject_from must hold a group, such as regex:([^/]+)/, but has none.",
        ),
        ({"modalities": []}, "ingest.modalities must name at least one DICOM modality, but is empty."),
    ],
)
def test_ingest_names_the_field(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        IngestConfig(**values)


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"^ingest\.subject_from holds a pattern that is not valid: "):
        IngestConfig(subject_from="regex:(")


def test_split_names_the_field() -> None:
    with pytest.raises(ConfigError, match=r"^splits\.folds must be at least 2, but is 1\.$"):
        SplitConfig(folds=1)
