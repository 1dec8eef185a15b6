"""Functions that the tests run on the lab's nodes; every start of one is a line in a file of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path


def square(folder: str, index: int) -> int:
    """The square; leaves a file per start."""
    _started(folder, index)
    return index * index


def slow_square(folder: str, index: int) -> int:
    """The same after three seconds."""
    _started(folder, index)
    time.sleep(3)
    return index * index


def fails_first(folder: str, index: int) -> int:
    """Index 3 fails at its first start, index 5 at every one."""
    starts = _started(folder, index)
    if (index == 3 and starts == 1) or index == 5:
        raise ValueError(f"no luck with {index}")
    return index * index


def _started(folder: str, index: int) -> int:
    path = Path(folder, f"starts-{index:04d}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{os.environ.get('SLURM_JOB_ID', '')} {time.time()}\n")
    return len(path.read_text().splitlines())


def starts(folder: Path) -> dict[int, int]:
    """Index -> how often it was started."""
    return {int(path.name[-4:]): len(path.read_text().splitlines()) for path in folder.glob("starts-*")}
