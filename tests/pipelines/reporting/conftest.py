"""One finished run, made once: 40 phantom subjects, 30 with outcome, all stages done."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from storage.atomic import write_json


@pytest.fixture(scope="session")
def cohorts() -> ModuleType:
    """The module cohorts.py: tests are no package, so it is loaded from its file."""
    spec = importlib.util.spec_from_file_location("reporting_cohorts", Path(__file__).with_name("cohorts.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run(cohorts: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cohorts.Run whose report is made; tests only read it."""
    root = tmp_path_factory.mktemp("run")
    store = cohorts.make_store(root / "store", subjects=40, with_outcome=30)
    finished = cohorts.Run(root / "store", root / "out", root / "oracle.json")
    cohorts.write_segmentation(store, finished.out)
    cohorts.write_predictions(finished.out / "classify", store)
    cohorts.write_records(store, finished.out)
    write_json(finished.oracle, {"auc": 0.9, "low": 0.85, "high": 0.95})
    finished.report()
    return finished
