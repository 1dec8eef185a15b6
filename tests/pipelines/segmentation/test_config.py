"""Settings name the field that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.config import StudyConfig
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.model import SegmenterSettings
from storage.errors import ConfigError


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"batch_size": 0}, "segmentation.batch_size must be at least 1, but is 0."),
        ({"experts": 0}, "segmentation.experts must be at least 1, but is 0."),
        ({"gamma_start": 0.1}, "segmentation.gamma_start must be between 0.125 and 1, but is 0.1."),
        ({"subjects": "some"}, "segmentation.subjects must be one of without_outcome, all, but is some."),
        (
            {"grid_height": 300},
            "segmentation.grid_height must be a multiple of 64 with 5 levels, but is 300.",
        ),
        ({"channels": [8]}, "segmentation.channels must be at least two positive widths, but is [8]."),
    ],
)
def test_a_wrong_value_is_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SegmentationConfig(**wrong)
    assert str(caught.value) == sentence


def test_frame_regions_belong_to_the_study() -> None:
    with pytest.raises(
        ConfigError, match=r"^segmentation\.frame_regions must name regions of the study \(whole\)"
    ):
        SegmenterSettings.of(SegmentationConfig(), StudyConfig(regions=["whole"]))
    with pytest.raises(ConfigError, match=r"^segmentation\.side_regions must name regions of the study"):
        SegmenterSettings.of(SegmentationConfig(second_pass=False), StudyConfig(regions=["whole"]))
    settings = SegmenterSettings.of(
        SegmentationConfig(second_pass=False, side_regions=[]), StudyConfig(regions=["whole"])
    )
    assert settings.build().num_samples == 8
