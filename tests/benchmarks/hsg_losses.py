"""The HSG paper's table on phantoms: six methods by three seeds, at 96 pixels, with the time it takes.

    python tests/benchmarks/hsg_losses.py FOLDER [women] [steps] [effect]

FOLDER keeps cohort, store and trials, so that a second call goes on. Bar: 45 minutes on two cores for
400 women and 240 steps. Beside the table stand the one-frame oracle and the AUC of the mere area of contrast.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from jobs.compose import settings_for
from jobs.registry import JOBS
from pipelines.ingest.run import ingest
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.hsg.cohort import write_cohort
from storage.config import IngestConfig


def main(folder: Path, women: int = 400, steps: int = 240, effect: str = "paper") -> None:
    """Make what is missing, then the table."""
    study = settings_for(JOBS["phantoms"], ["study=hsg", f"out={folder}"]).study
    raw, store = folder / "raw", folder / "store"
    began = time.perf_counter()
    made = write_cohort(raw, PhantomsConfig(subjects=women, unlabelled=0, height=128, effect=effect))
    wrote = time.perf_counter() - began
    print(f"{made}; {made.written / wrote:.1f} films per second")
    # the two films in the middle alone: less to decode than whole exams
    config = IngestConfig(overrides=str(raw / "frames.csv"))
    outcomes, masks = raw / "outcomes.csv", raw / "annotations"
    print(ingest(raw / "films", store, config, study, outcomes=outcomes, annotations=masks))
    began = time.perf_counter()
    words = ["sweep", "sweep=hsg_losses", "study=hsg", f"store={store}", f"out={folder}"]
    words += [
        "supervised.input_size=96",
        f"supervised.steps={steps}",
        f"supervised.warmup_steps={steps // 10}",
    ]
    subprocess.run([sys.executable, "-m", "jobs", *words], check=True)
    table = pd.read_csv(folder / "sweep" / "table.csv")
    wide = table.pivot_table(index=["level", "row"], columns="measure", values=["mean", "sd"], sort=False)
    print(wide.round(3).to_string())
    told = json.loads((raw / "oracle.json").read_text())
    for name in ("oracle", "contrast_area"):
        print(f"{name}: AUC {told[name]['auc']:.3f} ({told[name]['low']:.3f} to {told[name]['high']:.3f})")
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes for the trials; PHANTOM DATA")


if __name__ == "__main__":
    named = sys.argv[1:]
    main(Path(named[0]), *(int(word) if word.isdigit() else word for word in named[1:]))
