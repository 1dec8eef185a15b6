"""Many trials of pretrain and classify over one segmented store, side by side; a trial that is done is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cluster.local import num_processes
from cluster.search import Row, Trial, search
from jobs.compose import settings_from, whole_yaml
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held, opened_store, segmentation_id
from jobs.pretrain import check_method, pretrain
from jobs.progress import console
from jobs.registry import JOBS
from jobs.session import STOP_FILE, stop_file, stopped_by_signals
from jobs.training import FOLDER
from jobs.trials import SweepTrial, trials_of
from storage.atomic import remove_folder, write_bytes, write_json, write_text
from storage.errors import ConfigError

TRIAL, ASKED = "trial.parquet", "asked.json"


def check(settings: Settings) -> None:
    """There is a store with outcomes, this run has segmented it, and the sweep's file makes sense."""
    from pipelines.classification.labelled import subject_outcomes
    from pipelines.segmentation.stored import open_segmentation

    for trial in _trials(settings):
        check_method(_changed(settings, trial.changes))
    if settings.population == "child":
        raise ConfigError("A sweep compares predictions, and children get none; set population=adult.")
    store = opened_store(settings)
    open_segmentation(store.root, segmentation_id(Path(str(settings.out))))
    subject_outcomes(store, settings.study)


def main(settings: Settings) -> int:
    """`radmill sweep sweep=NAME store=DIR out=DIR`: OUT/sweep/<trial>/ and OUT/sweep/sweep.parquet."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("sweep", out, store):
        run_sweep(settings, store.resolve(), out.resolve())
    return 0


def run_sweep(settings: Settings, store: Path, out: Path) -> None:
    """Run the trials that have no Parquet file yet, then write sweep.parquet of all that have."""
    folder, trials = out / "sweep", _trials(settings)
    by_id = {trial.id: trial for trial in trials}
    if settings.fresh:
        for trial in trials:
            remove_folder(folder / trial.id)
    asked = folder / "settings.yaml"
    write_text(asked, whole_yaml(replace(settings, fresh=False)))
    question = _question(settings, store, out)
    _prepare(settings, store, out)
    stop = stop_file() or out / FOLDER / "sweep.stop"
    if stop_file() is None:
        stop.unlink(missing_ok=True)
    stop.parent.mkdir(exist_ok=True)

    def done(trial: str) -> bool:
        answered = folder / trial / ASKED
        return (folder / trial / TRIAL).is_file() and json.loads(answered.read_text("utf-8")) == (
            question | {"changes": by_id[trial].changes}
        )

    def keep(trial: str, row: Row) -> None:
        (folder / trial / TRIAL).unlink(missing_ok=True)
        write_json(folder / trial / ASKED, question | {"changes": by_id[trial].changes})
        _write_trial(folder, Path(str(settings.sweep)).stem, by_id[trial], row)
        console.print(
            f"sweep            {sum(map(done, by_id))} of {len(trials)} trials: {trial}", markup=False
        )

    common = {"settings": str(asked), "store": str(store), "out": str(out), "stop_file": str(stop)}
    with stopped_by_signals(stop.touch):
        search(
            run_trial,
            [
                Trial(id=trial.id, params=common | {"id": trial.id, "changes": trial.changes})
                for trial in trials
            ],
            folder=out / FOLDER,
            name="sweep",
            cpus=num_processes(settings.cluster),
            cpus_per_trial=_threads(settings),
            gpus_per_trial=settings.cluster.gpus_per_worker,
            is_done=done,
            on_done=keep,
            stop_file=stop,
        )
    _aggregate(folder, trials)
    console.print(f"Sweep: {len(trials)} trials in {folder / 'sweep.parquet'}", markup=False)


def run_trial(params: Row) -> Row:
    """One trial in OUT/sweep/<id>/: pretrain, classify, and the measures of its predictions."""
    import os

    from jobs.classify import classify

    os.environ[STOP_FILE] = params["stop_file"]
    settings = _changed(settings_from(Path(params["settings"])), params["changes"])
    settings.cluster.workers = 1
    store, base = Path(params["store"]), Path(params["out"])
    flow = Flow(base / "sweep" / params["id"], settings)
    segmented = (base / "segment" / "segmentation.json").read_bytes()
    write_bytes(flow.out / "segment" / "segmentation.json", segmented)
    pretrain(flow, store)
    folder = classify(flow, store).path
    return {"metrics": _measures(folder)}


def _measures(folder: Path) -> list[Row]:
    """Every measure with an interval that follows from the predictions, by its dotted name."""
    from pipelines.evaluation.intervals import BOOTSTRAP_SEED
    from pipelines.evaluation.protocols import evaluate_subjects
    from storage.schemas import SUBJECTS
    from storage.tables import read_table

    found: list[Row] = []

    def collect(tree: Any, name: str) -> None:
        if not isinstance(tree, dict):
            return
        if {"value", "low", "high"} <= set(tree):
            found.append({"metric": name, **{key: tree[key] for key in ("value", "low", "high")}})
        for key, below in tree.items():
            collect(below, f"{name}.{key}" if name else str(key))

    collect(evaluate_subjects(read_table(folder / "subjects.parquet", SUBJECTS), BOOTSTRAP_SEED), "")
    return found


def _trials(settings: Settings) -> list[SweepTrial]:
    return trials_of(str(settings.sweep), JOBS["sweep"].sections)


def _changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    """The settings with some dotted keys replaced, validated again."""
    sections = {key.partition(".")[0] for key in changes}
    own = {
        section: {
            key.partition(".")[2]: value for key, value in changes.items() if key.startswith(f"{section}.")
        }
        for section in sections
    }
    return replace(
        settings, **{name: replace(getattr(settings, name), **values) for name, values in own.items()}
    )


def _threads(settings: Settings) -> int:
    """CPUs of a trial: on a machine of our own one, unless set, so that many trials run side by side."""
    cluster = settings.cluster
    return cluster.threads_per_worker or (1 if cluster.kind == "local" else cluster.cpus_per_worker)


def _prepare(settings: Settings, store: Path, out: Path) -> None:
    """The cache of crops, which has one writer, before the trials come for it."""
    from pipelines.pretraining.crops import open_crops
    from pipelines.segmentation.stored import open_segmentation

    open_crops(store, open_segmentation(store, segmentation_id(out)), settings.pretraining.crop_pixels)


def _question(settings: Settings, store_root: Path, out: Path) -> dict[str, Any]:
    """What a trial's row answers, beside the changes that it makes."""
    from storage.manifest import Store

    store = Store.open(store_root)
    question = {
        "version": version("radmill"),
        "store": store.fingerprint(),
        "outcomes": store.outcomes_fingerprint(),
        "segmentation": segmentation_id(out),
        "config": {
            section: asdict(getattr(settings, section)) for section in ("study", *JOBS["sweep"].sections)
        },
    }
    return dict(json.loads(json.dumps(question)))


def _write_trial(folder: Path, sweep: str, trial: SweepTrial, row: Row) -> None:
    import pandas as pd

    from storage.schemas import SWEEP
    from storage.tables import write_table

    head = {"sweep": sweep, "trial": trial.id, "seed": trial.seed, "params": trial.params}
    rows = pd.DataFrame([head | measure for measure in row["metrics"]], columns=SWEEP.names)
    write_table(folder / trial.id / TRIAL, rows, SWEEP)


def _aggregate(folder: Path, trials: list[SweepTrial]) -> None:
    import pandas as pd

    from storage.schemas import SWEEP
    from storage.tables import read_table, write_table

    tables = [
        read_table(folder / trial.id / TRIAL, SWEEP) for trial in sorted(trials, key=lambda trial: trial.id)
    ]
    write_table(folder / "sweep.parquet", pd.concat(tables, ignore_index=True), SWEEP)
