"""Films of hysterosalpingographies per second of one core, masks and files included.

    python tests/benchmarks/hsg_phantom_speed.py [women]

Bar: 5 at 256 pixels.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.hsg.cohort import write_cohort


def main(women: int = 8) -> None:
    """Print wall-clock and CPU rates; the first cohort, which makes the oracle's table, is not counted."""
    for count in (1, women):
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = time.perf_counter(), time.process_time()
            written = write_cohort(
                Path(folder), PhantomsConfig(subjects=count, unlabelled=0, height=256)
            ).written
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{written / wall:.1f} films/s wall, {written / cpu:.1f} films/s of CPU (bar 5)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
