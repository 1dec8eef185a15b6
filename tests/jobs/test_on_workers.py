"""Both trainings and a sweep on workers of a Ray of our own, by the command line; the same command, the same bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.schemas import SWEEP
from storage.tables import read_table

pytestmark = pytest.mark.slow
TWO = ["cluster.workers=2", "threads=1", "bf16=false"]
FEW = """
seeds: [1]
seed_keys: [pretraining.seed, splits.seed]
trials:
  pretraining.method: [none, simclr]
  classification.l2: [[0.01], [1.0]]
"""


def radmill(*words: str) -> str:
    """Run it to its good end; what it says."""
    command = [sys.executable, "-m", "jobs", *words]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert run.returncode == 0, run.stderr
    assert not run.stdout and not re.search("raylet|Traceback|Warning", run.stderr)  # nobody asked for Ray
    return run.stderr


def words_of(demo: Any, *sections: str) -> list[str]:
    return [word for word in demo.words if word.partition(".")[0] in sections]


def bare(words: list[str]) -> list[str]:
    """Without the section, as its own job takes them; the last of equal keys counts."""
    return [word.partition(".")[2] for word in words]


def segmented(demo: Any, folder: Path) -> Path:
    shutil.copytree(demo.out / "segment", folder / "segment")
    return folder


def test_the_segmenter_trains_on_two_workers(small_demo: Any, tmp_path: Path) -> None:
    steps = ["steps=12", "validate_every=6", "checkpoint_every_steps=5"]
    words = bare(words_of(small_demo, "segmentation"))
    for out in ("first", "second"):
        radmill(
            "train-segmenter", f"store={small_demo.out}/store", f"out={tmp_path}/{out}", *words, *steps, *TWO
        )
    for name in ("model.safetensors", "model.json"):
        first, second = (tmp_path / out / "train-segmenter" / name for out in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    command = ["train-segmenter", f"store={small_demo.out}/store", f"out={tmp_path}/first", *words, *steps]
    assert "skipped, nothing changed" in radmill(*command, *TWO)
    assert 'runs again, changed: inputs.workers: "2" -> unset' in radmill(*command, *TWO[1:])


def test_pretraining_trains_on_two_workers(small_demo: Any, tmp_path: Path) -> None:
    words = bare(words_of(small_demo, "pretraining"))
    for name in ("first", "second"):
        out = segmented(small_demo, tmp_path / name)
        radmill("pretrain", f"store={small_demo.out}/store", f"out={out}", *words, *TWO)
    for name in ("model.safetensors", "model.json"):
        first, second = (tmp_path / out / "pretrain" / name for out in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_a_sweep_keeps_what_is_done(small_demo: Any, tmp_path: Path) -> None:
    out = segmented(small_demo, tmp_path / "out")
    (tmp_path / "few.yaml").write_text(FEW)
    words = [f"sweep={tmp_path}/few.yaml", f"store={small_demo.out}/store", f"out={out}"]
    words += words_of(small_demo, "pretraining", "classification", "splits")
    told = radmill("sweep", *words)
    assert "4 of 4 trials" in told
    table = read_table(out / "sweep" / "sweep.parquet", SWEEP)
    assert table["trial"].nunique() == 4 and list(table["trial"]) == sorted(table["trial"])
    assert table.loc[table["metric"] == "auc", "value"].between(0, 1).all()
    names = ("sweep.parquet", "table.csv", "table.html")
    whole = [(out / "sweep" / name).read_bytes() for name in names]
    assert "PHANTOM DATA" in (out / "sweep" / "table.html").read_text()
    kept = out / "sweep" / "method-simclr_l2-1.0_seed-1" / "trial.parquet"
    before = kept.stat().st_mtime_ns
    (out / "sweep" / "method-none_l2-1.0_seed-1" / "trial.parquet").unlink()
    told = radmill("sweep", *words)
    assert told.count(" of 4 trials") == 1
    assert kept.stat().st_mtime_ns == before
    assert [(out / "sweep" / name).read_bytes() for name in names] == whole


def test_supcon_trains_every_fold_on_two_workers(small_demo: Any, tmp_path: Path) -> None:
    words = [
        *bare(words_of(small_demo, "pretraining")),
        "method=supcon",
        "splits.folds=3",  # as the store's splits have been dealt
        "splits.repeats=1",
    ]
    out = segmented(small_demo, tmp_path / "out")
    radmill("pretrain", f"store={small_demo.out}/store", f"out={out}", *words, *TWO)
    folders = [out / "pretrain", *sorted((out / "pretrain").glob("repeat-*"))]
    assert len({(folder / "model.safetensors").read_bytes() for folder in folders}) == 4
    assert not (out / "pretrain" / "workers").exists()
