"""One Ray for all tests of workers and searches: to start one takes longer than any of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ON_WORKERS = [str(Path(__file__).parent), str(ROOT / "tests" / "pipelines" / "training"), str(ROOT)]


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A Ray with three CPUs, whose workers find the functions of small_workers.py by name, as this process does."""
    from cluster.local_ray import connected

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(ON_WORKERS))
        patch.setattr(sys, "path", [*ON_WORKERS, *sys.path])
        with connected(3):
            yield
