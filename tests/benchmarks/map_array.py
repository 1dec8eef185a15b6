"""A cheap function over many indices on Slurm: all done, none twice, and how long it took.

LAB_MAX_ARRAY=1001 tests/slurm/lab up 3; export SLURM_CONF=/tmp/slurm-lab-rad/etc/slurm.conf
python tests/benchmarks/map_array.py --tasks 2500 --folder SHARED
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cluster.array import map_array
from cluster.commands import max_array_size
from cluster.config import ClusterConfig
from cluster.resources import Resources
from tests.slurm import tasks


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=2500)
    parser.add_argument("--width", type=int, default=12, help="tasks at once")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="seen by every node")
    asked = parser.parse_args()
    config = ClusterConfig(kind="slurm", array_width=asked.width)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        begun, indices = time.monotonic(), range(asked.tasks)
        small = Resources(memory_gb=0.4, timeout_min=10)
        done = map_array(
            config, Path(folder, "jobs"), "squares", small, tasks.square, indices, arguments=(f"{folder}/s",)
        )
        seconds = time.monotonic() - begun
        assert done == [index * index for index in indices], "results"
        assert tasks.starts(Path(folder, "s")) == dict.fromkeys(indices, 1), "an index ran twice, or never"
        arrays = {path.name.partition("_")[0] for path in Path(folder, "jobs").glob("*_submitted.pkl")}
    cut = f"{len(arrays)} arrays (MaxArraySize {max_array_size()})"
    print(f"{asked.tasks} tasks in {cut}: all done, none twice, {seconds:.0f} s")


if __name__ == "__main__":
    main()
