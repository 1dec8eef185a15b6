"""How long Ray takes to be ready on three nodes, and to be gone: python tests/benchmarks/ray_ready.py [ROUNDS]

Starts the lab (tests/slurm/lab), runs ROUNDS (default 5) jobs whose driver ends at once, and prints for each the
seconds from the supervisor's start to Ray being up on all nodes, and from the driver's end to nothing of the job
being left on any node; then the medians. Bars on an otherwise idle machine of 2 cores: 12 s and 10 s. Needs root and
Debian's Slurm; another lab on this machine must have another LAB_PREFIX, LAB_NET and LAB_PORT.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.slurm.conftest import PLACE, SCRIPT, SHAPE, Lab  # noqa: E402
from tests.slurm.ray_jobs import Loop, leftovers, wait  # noqa: E402

DRIVER = "import sys, time; open(sys.argv[1], 'w').write(str(time.time()))"


def main(rounds: int) -> None:
    """Print a line per round and the medians."""
    environment = {**os.environ, **{key: os.environ.get(key, value) for key, value in PLACE.items()}, **SHAPE}
    up = subprocess.run([SCRIPT, "up", "3"], env=environment, capture_output=True, text=True, check=True)
    conf = up.stdout.splitlines()[-1].removeprefix("export SLURM_CONF=")
    os.environ |= {"SLURM_CONF": conf, "PYTHONPATH": str(ROOT)}
    nodes = [f"{environment['LAB_PREFIX']}{number}" for number in (1, 2, 3)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            lab = Lab(nodes, environment | {"SLURM_CONF": conf})
            measured = [one_round(lab, Path(folder, str(number))) for number in range(rounds)]
    finally:
        subprocess.run([SCRIPT, "down"], env=environment, check=True, capture_output=True)
    ready, gone = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"median of {rounds}: ready {ready:.1f} s, gone {gone:.1f} s")


def one_round(lab: Lab, run: Path) -> tuple[float, float]:
    """(seconds to ready, seconds from the driver's end to nothing left)."""
    job = Loop(lab, run, nodes=len(lab.nodes), steps=0)
    ended = run / "ended"
    job.submit(command=[sys.executable, "-c", DRIVER, str(ended)])
    wait(ended.exists, 300, "the driver's end")
    wait(lambda: not any(leftovers(lab, node) for node in lab.nodes), 60, "nothing left")
    gone = time.time() - float(ended.read_text())
    ready = float(job.events("ready")[0]["seconds"])
    print(f"ready {ready:.1f} s, gone {gone:.1f} s", flush=True)
    return ready, gone


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
