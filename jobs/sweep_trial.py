"""One trial of a sweep: the settings that it changes, its stages in a folder of its own, and its measures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.search import Row
from jobs.compose import settings_from
from jobs.config import Settings
from jobs.flow import Flow
from jobs.pretrain import pretrain
from jobs.session import STOP_FILE
from jobs.sweep_results import classify_films, film_measures, subject_measures
from jobs.trials import SweepTrial
from storage.atomic import new_folder, write_bytes
from storage.errors import StorageError

TRIAL = "trial.parquet"


def with_changes(settings: Settings, changes: dict[str, Any]) -> Settings:
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


def run_trial(params: Row) -> Row:
    """One trial in OUT/sweep/<id>/: its stages, and the measures of its predictions."""
    from jobs.classify import classify

    os.environ[STOP_FILE] = params["stop_file"]
    settings = with_changes(settings_from(Path(params["settings"])), params["changes"])
    settings.cluster.workers = 1
    store, base = Path(params["store"]), Path(params["out"])
    flow = Flow(base / "sweep" / params["id"], settings)
    twins = [base / "sweep" / twin for twin in params["twins"]]
    if settings.study.whole_films:
        return {"metrics": film_measures(classify_films(flow, store, twins))}
    segmented = (base / "segment" / "segmentation.json").read_bytes()
    write_bytes(flow.out / "segment" / "segmentation.json", segmented)
    _take_encoder(flow.out, twins)
    pretrain(flow, store)
    return {"metrics": subject_measures(classify(flow, store).path)}


def twins_of(trial: SweepTrial, trials: Sequence[SweepTrial]) -> list[str]:
    """Other trials that pretrain alike: who comes later takes the encoder of who came first."""

    def pretraining(one: SweepTrial) -> dict[str, Any]:
        own = "supcon" in one.changes.values() or "paper" in one.changes.values()
        kept = ("pretraining.", "splits.") if own else ("pretraining.",)
        return {key: value for key, value in one.changes.items() if key.startswith(kept)}

    return [other.id for other in trials if other is not trial and pretraining(other) == pretraining(trial)]


def write_trial(folder: Path, sweep: str, trial: SweepTrial, row: Row) -> None:
    """Write OUT/sweep/<id>/trial.parquet: a line per measure. folder: OUT/sweep; sweep: its name."""
    import pandas as pd

    from storage.schemas import SWEEP
    from storage.tables import write_table

    head = {"sweep": sweep, "trial": trial.id, "seed": trial.seed, "params": trial.params}
    rows = pd.DataFrame([head | measure for measure in row["metrics"]], columns=SWEEP.names)
    write_table(folder / trial.id / TRIAL, rows, SWEEP)


def _take_encoder(trial: Path, twins: Sequence[Path]) -> None:
    """A finished stage pretrain of a twin, unless the trial has one; whether it answers is the stage's to say."""
    if (trial / "pretrain").exists():
        return
    done = [twin for twin in twins if (twin / "pretrain" / "DONE.json").is_file()]
    # one that begins anew meanwhile is no twin: this trial trains its own
    with suppress(StorageError, OSError):
        if done:
            with new_folder(trial / "pretrain") as temporary:
                shutil.copytree(done[0] / "pretrain", temporary, dirs_exist_ok=True)
