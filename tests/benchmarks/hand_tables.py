"""Tables 1 to 4 of the hand paper on phantoms: a command for table 1, one for the others, and the time each takes.

    python tests/benchmarks/hand_tables.py FOLDER [steps] [subjects] [unlabelled]

FOLDER keeps the run and its trials, so that a second call goes on. Bar: 60 minutes on two cores for all tables, with
192 subjects with outcome and 150 without, resnet10t and crops of 64 and 32 pixels, after a run has segmented the films.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

PRETRAINING = [
    "pretraining.backbone=resnet10t",
    "pretraining.crop_pixels=96",
    "pretraining.global_size=64",
    "pretraining.local_size=32",
    "pretraining.batch_size=64",
    "pretraining.projection_hidden=512",
    "pretraining.warmup_steps=8",
    "pretraining.threads=1",
    "classification.input_size=64",
]


def main(folder: Path, steps: int = 80, subjects: int = 192, unlabelled: int = 150) -> None:
    """A demo with so many subjects, then both sweeps over it."""
    learning = [*PRETRAINING, f"pretraining.steps={steps}"]
    if not (folder / "segment" / "segmentation.json").is_file():
        people = [f"phantoms.subjects={subjects}", f"phantoms.unlabelled={unlabelled}"]
        _radmill("demo", f"out={folder}", *people, *learning)
    tuning = [
        f"supervised.steps={4 * steps}",
        f"supervised.warmup_steps={steps // 4}",
        "supervised.threads=1",
    ]
    total_s = 0.0
    for sweep in ("hand_methods", "hand_ablations"):
        words = [f"sweep={sweep}", f"store={folder}/store", f"out={folder}", *learning, *tuning]
        total_s += (took_s := _radmill("sweep", *words))
        table = pd.read_csv(folder / "sweep" / "table.csv")
        print(
            table[["table", "row", "measure", "mean", "sd", "difference", "low", "high"]].round(3).to_string()
        )
        print(f"{sweep}: {took_s / 60:.1f} minutes; PHANTOM DATA")
    print(f"all tables: {total_s / 60:.1f} minutes")


def _radmill(*words: str) -> float:
    """Run a job to its good end; the seconds it took."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "jobs", *words], check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    named = sys.argv[1:]
    main(Path(named[0]), *map(int, named[1:]))
