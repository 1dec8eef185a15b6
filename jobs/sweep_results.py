"""What a trial of a sweep leaves: its measures for sweep.parquet, and its test predictions for the tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.flow import Flow
from jobs.folders import initial_weights
from jobs.session import local_session
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.progress import Progress
from storage.atomic import new_folder
from storage.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("subject", "film", "exam")
SUPCON = "supcon"  # folder of its stage below classify


def classify_films(flow: Flow, store_root: Path, twins: Sequence[Path] = ()) -> Path:
    """The stage classify of a trial on whole films, without the maps that a run ends with.

    twins: folders of trials of which one may have trained the very encoder that SupCon would train here.
    """
    from pipelines.classification.hsg_losses import hsg_trial
    from storage.manifest import Store

    settings, store = flow.settings, Store.open(store_root)

    def action(folder: Path, progress: Progress) -> str:
        if settings.supervised.supcon:
            _take_supcon(folder, [twin / "classify" for twin in twins])
        params = {**asdict(settings.supervised), "store": store.root, "out": folder, "study": settings.study}
        with local_session() as session:
            film, exam = hsg_trial(params, session, progress)
        return f"{film['method']}: AUPRC {film['auprc']:.3f} over films, {exam['auprc']:.3f} over exams"

    inputs = {"store": store.fingerprint(), "outcomes": store.outcomes_fingerprint()}
    inputs |= initial_weights(settings.supervised.initial_weights)
    return flow.stage("classify", sections=("supervised",), inputs=inputs, action=action).path


def subject_measures(folder: Path) -> list[dict[str, Any]]:
    """Every measure with an interval that follows from a trial's predictions, by its dotted name."""
    from pipelines.evaluation.intervals import BOOTSTRAP_SEED
    from pipelines.evaluation.protocols import evaluate_subjects
    from storage.schemas import FOLDS, SUBJECTS
    from storage.tables import read_table

    found: list[dict[str, Any]] = []

    def collect(tree: Any, name: str) -> None:
        if not isinstance(tree, dict):
            return
        if {"value", "low", "high"} <= set(tree):
            found.append({"metric": name, **{key: tree[key] for key in ("value", "low", "high")}})
        for key, below in tree.items():
            collect(below, f"{name}.{key}" if name else str(key))

    subjects, folds = (
        read_table(folder / "subjects.parquet", SUBJECTS),
        read_table(folder / "folds.parquet", FOLDS),
    )
    collect(evaluate_subjects(subjects, BOOTSTRAP_SEED, folds=folds), "")
    return found


def _take_supcon(folder: Path, twins: Sequence[Path]) -> None:
    """SupCon's stage of a finished trial that asked the same but for the head, unless this trial has begun its own."""
    asked = _asked_of_supcon(folder)
    for twin in twins:
        with suppress(OSError, StorageError):  # one that begins anew meanwhile is no twin
            if (folder / SUPCON).exists() or not (twin / "DONE.json").is_file():
                continue
            if _asked_of_supcon(twin) == asked:
                with new_folder(folder / SUPCON) as temporary:
                    shutil.copytree(twin / SUPCON, temporary, dirs_exist_ok=True)


def _asked_of_supcon(folder: Path) -> dict[str, Any]:
    """The question of a stage classify without what SupCon's stage does not read."""
    asked: dict[str, Any] = json.loads((folder / "asked.json").read_text("utf-8"))
    supervised = asked["config"]["supervised"]
    asked["config"]["supervised"] = {
        key: value for key, value in supervised.items() if key not in SupervisedConfig.of_the_head
    }
    return asked


def film_measures(folder: Path) -> list[dict[str, Any]]:
    """Every measure by film and by exam, as level.measure; the intervals of one test set are in no trial's row."""
    from pipelines.evaluation.trials import MEASURES, summarise

    found = []
    for level, rows in tested(folder).items():
        values = summarise({0: rows})["mean"]
        found += [
            {"metric": f"{level}.{name}", "value": values[name], "low": None, "high": None}
            for name in MEASURES
        ]
    return found


def tested(folder: Path) -> dict[str, pd.DataFrame]:
    """By level (subject; or film and exam) the test predictions in a folder of classify, as `trials.Tested` wants."""
    from storage.schemas import FOLDS, SUBJECTS
    from storage.tables import read_table

    if (folder / "predictions.csv").is_file():
        return _films(folder)
    rows = read_table(folder / "subjects.parquet", SUBJECTS)
    folds = read_table(folder / "folds.parquet", FOLDS)[["repeat", "fold", "train"]]
    rows = rows[rows["split"] == "test"].merge(folds, on=["repeat", "fold"], how="left")
    return {"subject": rows.assign(unit=rows["subject"]).reset_index(drop=True)}


def _films(folder: Path) -> dict[str, pd.DataFrame]:
    import pandas as pd

    from pipelines.classification.hsg_losses import PREDICTIONS

    scored = pd.read_csv(folder / PREDICTIONS, dtype={"subject": str, "exam": str, "key": str})
    scored["exam"] = scored["exam"].fillna("")  # PNG and JPEG know of no exam
    told = {row["level"]: row for row in json.loads((folder / "trial.json").read_text())}
    films = scored.assign(unit=scored["key"])
    exams = scored.assign(unit=scored["subject"] + " " + scored["exam"]).groupby("unit", as_index=False)
    means = exams.agg(
        subject=("subject", "first"), outcome=("outcome", "first"), probability=("probability", "mean")
    )
    return {
        level: rows.assign(
            prediction=(rows["probability"] >= told[level]["threshold"]).astype("int64"),
            repeat=0,
            fold=0,
            train=told[level]["train"],
        )
        for level, rows in (("film", films), ("exam", means))
    }
