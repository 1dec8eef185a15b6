"""How often an interval of a cohort without effect misses .5: `null_outcomes.py RUN [SHUFFLES]`.

RUN is a finished `radmill demo` or `radmill run` of phantoms with its raw folder below. Measured values are dealt
anew among the subjects, which is the null hypothesis itself, ingested into a copy of the store, and everything that
learns from outcomes runs again. About 5 % of 95 % intervals may miss; of 20 shuffles, more than 2 misses of one
measure are suspicious.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jobs.classify import classify
from jobs.compose import settings_from
from jobs.flow import Flow
from jobs.ingest import ingest
from pipelines.evaluation.intervals import BOOTSTRAP_SEED
from pipelines.evaluation.protocols import evaluate_subjects
from storage.schemas import REGIONS, SUBJECTS
from storage.tables import read_table


def main(run: Path, shuffles: int) -> None:
    """Print a line per shuffle and, at the end, the misses of every measure."""
    missed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=run.parent, prefix="null-") as folder:
        work = Path(folder)
        for name in ("store", "segment", "pretrain"):  # phantoms' stores have no secret of their own
            shutil.copytree(run / name, work / name)
        for seed in range(shuffles):
            intervals = once(run, work, seed)
            misses = [name for name, (low, high) in intervals.items() if not low <= 0.5 <= high]
            missed.update(misses)
            low, high = intervals["auc"]
            told = ", ".join(misses) or "none"
            print(
                f"{seed:3d}  AUC {low:.3f} to {high:.3f}; of {len(intervals)} AUCs miss .5: {told}",
                flush=True,
            )
    for name in intervals:
        print(f"{name:40s} {missed[name]} of {shuffles} intervals miss .5")


def once(run: Path, work: Path, seed: int) -> dict[str, tuple[float, float]]:
    """Shuffle, ingest, classify; the interval of every AUC by its dotted name."""
    sheet = work / "outcomes.csv"
    deal(run / "phantoms" / "outcomes.csv", sheet, seed)
    shutil.rmtree(work / "store" / "splits", ignore_errors=True)
    settings = settings_from(run / "resolved.yaml")
    settings = replace(
        settings,
        raw=str(run / "phantoms" / "films"),
        annotations=str(run / "phantoms" / "annotations"),
        outcomes=str(sheet),
        splits=replace(settings.splits, seed=seed),
    )
    flow = Flow(work, settings)
    ingest(flow, work / "store")
    folder = classify(flow, work / "store").path
    subjects, regions = (
        read_table(folder / f"{name}.parquet", schema)
        for name, schema in (("subjects", SUBJECTS), ("regions", REGIONS))
    )
    return dict(aucs(evaluate_subjects(subjects, BOOTSTRAP_SEED, regions), ""))


def deal(sheet: Path, to: Path, seed: int) -> None:
    """Write the sheet with its T-scores dealt anew."""
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(seed).permutation(len(rows))
    with to.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            row | {"t_score": rows[other]["t_score"]} for row, other in zip(rows, order, strict=True)
        )


def aucs(tree: Any, name: str) -> Iterator[tuple[str, tuple[float, float]]]:
    """Every AUC with an interval below `tree`, a result of `evaluate_subjects`."""
    if isinstance(tree, dict) and {"value", "low", "high"} <= set(tree) and name.endswith("auc"):
        yield name, (tree["low"], tree["high"])
    if isinstance(tree, dict | list):
        named = ((one.get("region") or one.get("name") if isinstance(one, dict) else "", one) for one in tree)
        for key, value in tree.items() if isinstance(tree, dict) else named:
            yield from aucs(value, f"{name}.{key}" if name else str(key))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
