"""The lab itself: it clears away what a killed one left, and leaves nothing of its own."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.slurm.conftest import SCRIPT

pytestmark = pytest.mark.slurm
ENVIRONMENT = {"LAB_PREFIX": "radleft", "LAB_NET": "10.81.0", "LAB_PORT": "33110"}


def traces() -> list[str]:
    """Processes, namespaces, links and names of this lab."""
    found = [line for line in Path("/etc/hosts").read_text().splitlines() if "radleft" in line]
    found += [line for line in _said("ip", "netns", "list").splitlines() if line.startswith("radleft")]
    found += [line for line in _said("ip", "-br", "link").splitlines() if line.startswith("radleft")]
    return found + [str(pid) for pid in _processes()]


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _processes() -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if b"slurm-lab-radleft/" in told and not zombie and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def test_a_killed_lab_is_cleared_away_by_the_next(lab: object) -> None:
    environment = os.environ | ENVIRONMENT
    try:
        subprocess.run([SCRIPT, "up", "1"], env=environment, check=True, capture_output=True, timeout=120)
        for pid in _processes():
            os.kill(pid, signal.SIGKILL)
        assert traces() != []
        up = subprocess.run(
            [SCRIPT, "up", "1"], env=environment, check=True, capture_output=True, timeout=120
        )
        assert b"idle radleft1" in up.stdout
    finally:
        subprocess.run([SCRIPT, "down"], env=environment, check=True, capture_output=True, timeout=120)
    assert traces() == []
    assert _said("sinfo", "-h", "-o", "%D") != ""  # the other lab has not felt it
