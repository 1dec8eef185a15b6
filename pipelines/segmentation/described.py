"""Which regions a segmenter finds, told by model.json; reads no weights and imports no torch."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.config import StudyConfig
from storage.errors import ConfigError, InputError

SECTION = "segmenter"  # of model.json; also the prefix of its tensors in a model that holds more


def check_regions(folder: Path, study: StudyConfig) -> None:
    """Raise InputError where the folder holds no segmenter, ConfigError where it finds other regions."""
    try:
        regions = list(json.loads((folder / "model.json").read_text("utf-8"))[SECTION]["regions"])
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} must hold a segmenter, but has no model.json: train one first."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no segmenter this version can read; train it again.") from error
    if regions != study.regions:
        raise ConfigError(
            f"The segmenter in {folder} finds {', '.join(regions)},"
            f" but study.regions is {', '.join(study.regions)}: choose a segmenter of this study."
        )
