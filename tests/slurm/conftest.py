"""The lab: one real Slurm cluster for all of these tests, taken down whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.queue import JobState, job_states

SCRIPT = Path(__file__).with_name("lab")
ROOT = Path(__file__).parents[2]
MAX_ARRAY = 101
Break = Callable[[str, str], None]  # how (kill or cut), node
Partition = Callable[[str], None]  # state (DOWN or UP)
# Of another lab on this machine, such as one that you keep up by hand, these differ.
PLACE = {"LAB_PREFIX": "radtest", "LAB_NET": "10.79.0", "LAB_PORT": "33090"}
SHAPE = {"LAB_GPUS": "2", "LAB_MAX_ARRAY": str(MAX_ARRAY), "LAB_CPUS": "4", "LAB_MEM": "7000"}


@dataclass(frozen=True)
class Lab:
    """The running cluster: its nodes' names, and what can be done to them."""

    nodes: list[str]
    environment: dict[str, str]

    def do(self, *words: str) -> str:
        """`kill NODE`, `revive NODE`, `cut NODE`, `heal NODE` or `exec NODE COMMAND...`; what it wrote."""
        done = subprocess.run(
            [SCRIPT, *words], env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="package")  # what a failed test left running must not slow the rooms after this one
def lab() -> Iterator[Lab]:
    """Three nodes with two fake GPUs each; SLURM_CONF of this process points to it."""
    environment = {**os.environ, **{key: os.environ.get(key, value) for key, value in PLACE.items()}, **SHAPE}
    missing = subprocess.run([SCRIPT, "check"], env=environment, capture_output=True, text=True)
    if missing.returncode != 0:
        pytest.skip(missing.stderr.strip())
    patch = pytest.MonkeyPatch()
    try:
        up = subprocess.run([SCRIPT, "up", "3"], env=environment, capture_output=True, text=True, timeout=120)
        assert up.returncode == 0, up.stderr
        conf = up.stdout.splitlines()[-1].removeprefix("export SLURM_CONF=")
        patch.setenv("SLURM_CONF", conf)
        patch.setenv("PYTHONPATH", str(ROOT))
        prefix = environment["LAB_PREFIX"]
        yield Lab([f"{prefix}{number}" for number in (1, 2, 3)], {**environment, "SLURM_CONF": conf})
    finally:
        patch.undo()
        subprocess.run([SCRIPT, "down"], env=environment, capture_output=True, timeout=120, check=True)


@pytest.fixture
def slurm(lab: Lab) -> ClusterConfig:
    """Small jobs on the lab."""
    return ClusterConfig(kind="slurm", cpus_per_worker=1, memory_gb=0.4, timeout_min=10, array_width=12)


@pytest.fixture
def break_node(lab: Lab) -> Iterator[Break]:
    """Kill a node or cut it off; at the end of the test it is mended, and the lab idle."""
    broken: list[tuple[str, str]] = []

    def break_(how: str, node: str) -> None:
        lab.do(how, node)
        broken.append(({"kill": "revive", "cut": "heal"}[how], node))

    yield break_
    for how, node in broken:
        lab.do(how, node)
    deadline = time.monotonic() + 120
    while _idle() != len(lab.nodes):
        assert time.monotonic() < deadline, "nodes are not idle after 120 s"
        time.sleep(0.5)


@pytest.fixture
def partition(lab: Lab) -> Iterator[Partition]:
    """partition("DOWN"): jobs of the partition wait until it is UP again."""

    def update(word: str) -> None:
        subprocess.run(["scontrol", "update", "PartitionName=main", f"State={word}"], check=True)

    yield update
    update("UP")


def _idle() -> int:
    words = ["sinfo", "-h", "-p", "main", "-o", "%D", "-t", "idle"]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() or 0)


def wait_for(ids: list[str], wanted: Callable[[JobState], bool], seconds: float = 120) -> dict[str, JobState]:
    """Ask until every job's state is as wanted."""
    deadline = time.monotonic() + seconds
    states = job_states(ids)
    while not all(wanted(state) for state in states.values()):
        assert time.monotonic() < deadline, states
        time.sleep(0.5)
        states = job_states(ids)
    return states


def python(code: str, *words: str) -> subprocess.Popen[str]:
    """Another Python process that runs `code`, in the repository."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
