"""Functions that the tests run on the lab's nodes; every start of one is a line in a file of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cluster.array import submit_array
from cluster.config import ClusterConfig
from cluster.graph import resubmit
from cluster.resources import Resources


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


def surroundings() -> dict[str, str]:
    """The environment of the job."""
    return dict(os.environ)


def submit_from_here(config: dict[str, object], folder: str) -> str:
    """Submit `surroundings` from the compute node and return the id."""
    resources = Resources(memory_gb=0.4, timeout_min=5)
    inner = ClusterConfig(**config)  # type: ignore[arg-type]
    (job,) = submit_array(inner, Path(folder), "inner", resources, surroundings_of, [0])
    return str(job.job_id)


def surroundings_of(index: int) -> dict[str, str]:
    """The environment of an array's task."""
    return surroundings()


def take_memory(megabytes: int) -> int:
    """Hold that much for a while."""
    block = bytearray(b"x") * (megabytes << 20)
    time.sleep(30)
    return len(block)


def note(folder: str, name: str, *inputs: str) -> str:
    """A step: write a file, once every input is there."""
    for one in inputs:
        if not Path(folder, one).exists():
            raise FileNotFoundError(f"{name} misses {one}")
    Path(folder, name).write_text(os.environ.get("SLURM_JOB_ID", "here"))
    return name


def fail(*_: object) -> None:
    """A step that fails."""
    raise RuntimeError("broken in the middle")


def part(folder: str, index: int) -> None:
    """One part; part 2 is not written at its first start."""
    if _started(folder, index) > 1 or index != 2:
        Path(folder, f"part-{index}").write_text("")


def assemble(folder: str, graph: str, width: int) -> str:
    """All parts in one; what is missing is asked for again."""
    missing = [index for index in range(width) if not Path(folder, f"part-{index}").exists()]
    if missing:
        resubmit(Path(graph), "parts", missing, asking="assemble")
        return "asked"
    Path(folder, "whole").write_text(str(time.time()))
    return "whole"


def report(folder: str) -> str:
    """What comes after the assembly; fails where it started too early."""
    return Path(folder, "whole").read_text()


def rest(seconds: float) -> None:
    """Do nothing for so long."""
    time.sleep(seconds)


def wait_or_fail(index: int) -> int:
    """Index 3 fails."""
    if index == 3:
        raise ValueError("three")
    return index
