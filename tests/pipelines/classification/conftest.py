"""Simulated bone features, whose outcome one direction carries, and a toy cohort read all the way."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipelines.classification.probe import Segments
from pipelines.classification.train import classify


def simulate(effect: float, num_subjects: int = 100, dimensions: int = 24, seed: int = 0) -> Segments:
    """Seven bones per subject, 30 % positive; `effect` shifts positives along one direction."""
    rng = np.random.default_rng(seed)
    outcome_S = (np.arange(num_subjects) < 0.3 * num_subjects).astype(np.int64)
    look_RD = 5 * rng.normal(size=(7, dimensions))
    subject_SD = 0.6 * rng.normal(size=(num_subjects, dimensions))
    subject_SD[:, 0] += effect * outcome_S
    features_SRD = subject_SD[:, None] + look_RD + 0.8 * rng.normal(size=(num_subjects, 7, dimensions))
    names_S = np.array([f"s{index:04d}" for index in range(num_subjects)])
    return Segments(
        features_ND=features_SRD.reshape(-1, dimensions),
        region_N=np.tile(np.arange(7), num_subjects),
        subject_N=np.repeat(names_S, 7),
        outcome_N=np.repeat(outcome_S, 7),
    )


@pytest.fixture
def segments() -> Callable[..., Segments]:
    """`simulate`, for tests that choose the effect."""
    return simulate


@pytest.fixture(scope="session")
def toys() -> ModuleType:
    """The module toys.py: tests are no package, so it is loaded from its file."""
    spec = importlib.util.spec_from_file_location("classification_toys", Path(__file__).with_name("toys.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def developed(toys: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A toys.Developed; tests only read it."""
    return toys.develop(tmp_path_factory.mktemp("developed"))


@pytest.fixture(scope="session")
def finished(toys: ModuleType, developed: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What classify writes from it; tests only read it."""
    folder = tmp_path_factory.mktemp("classify")
    classify(
        developed.store,
        developed.segmentation,
        developed.segmenter,
        developed.encoder,
        folder,
        toys.CONFIG,
        toys.SPLIT,
        toys.STUDY,
    )
    return folder
