"""The small learner as a fixture: tests are no package, so it is loaded from its file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """The module small_fit.py."""
    spec = importlib.util.spec_from_file_location("small_fit", Path(__file__).with_name("small_fit.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
