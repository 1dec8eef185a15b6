"""Films per second and core, masks and files included: python tests/benchmarks/phantom_speed.py"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from pipelines.phantoms.cohort import write_cohort
from pipelines.phantoms.config import PhantomsConfig

CASES = (
    ("child", "random", "png", 320, 256, 60, 10.0),
    ("adult", "clinic", "dicom", 320, 256, 60, 10.0),
    ("adult", "clinic", "dicom", 512, 400, 30, 3.0),
    ("adult", "clinic", "dicom", 1400, 900, 6, 1.0),
)


def main() -> None:
    """Print wall-clock and CPU rates beside the bar; the first films of a process are not counted."""
    for population, appearance, kind, height, width, films, bar in CASES:
        for count in (2, films):
            config = PhantomsConfig(
                subjects=0,
                unlabelled=count,
                population=population,
                appearance=appearance,
                format=kind,
                height=height,
                width=width,
            )
            with tempfile.TemporaryDirectory() as folder:
                wall, cpu = time.perf_counter(), time.process_time()
                written = write_cohort(Path(folder), config).written
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rate = f"{written / wall:6.1f} films/s wall, {written / cpu:6.1f} films/s of CPU"
        print(f"{population:5} {appearance:6} {height}x{width}: {rate} (bar {bar:g})")


if __name__ == "__main__":
    main()
