"""Kill the demo at random moments: the rerun's store and tables equal those of a run that nobody disturbed."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

FinishedDemo = Any  # the class lives in conftest.py, which tests don't import

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1500)]

KILLS = 3


def digests(out: Path) -> dict[str, str]:
    """Every byte of the store, and every table and weight of the run."""
    files = [*(out / "store").rglob("*"), *out.glob("*/*.parquet"), *out.glob("*/*.safetensors")]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file()
    }


def run_and_kill(words: list[str], after_s: float) -> int:
    """Start the demo in a process group of its own and SIGKILL all of it; returns the exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs", *words], start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        return process.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def test_killed_demo_ends_in_the_same_bytes(small_demo: FinishedDemo, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    words = [*small_demo.words, f"out={out}"]
    moments = random.Random(20231121)
    # each goes on where the one before was killed; on a machine of uneven speed the last may have come to its end
    codes = [run_and_kill(words, moments.uniform(0.05, 0.3) * small_demo.seconds) for _ in range(KILLS)]
    assert codes[0] == -signal.SIGKILL and set(codes) <= {-signal.SIGKILL, 0}
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "jobs", *words], check=True)
    print(f"the last of {KILLS + 1} runs took {time.monotonic() - begun:.0f} s")
    assert digests(out) == digests(small_demo.out)


def test_finished_demo_is_skipped(small_demo: FinishedDemo) -> None:
    before = digests(small_demo.out)
    run = subprocess.run(
        [sys.executable, "-m", "jobs", *small_demo.words, f"out={small_demo.out}"],
        check=True,
        capture_output=True,
        text=True,
    )
    stages = ("phantoms", "ingest", "train-segmenter", "segment", "pretrain", "classify", "report")
    for stage in stages:
        assert f"{stage:16} skipped, nothing changed" in run.stderr
    assert digests(small_demo.out) == before
