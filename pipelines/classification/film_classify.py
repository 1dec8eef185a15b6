"""Stage classify of studies that read whole films by exam: one method, tested once on a fifth of the women."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.classification.described import told_of
from pipelines.classification.film_finished import write_described
from pipelines.classification.film_maps import write_maps
from pipelines.classification.film_tables import evaluable_films, exam_rows, film_table, flow, reasons
from pipelines.classification.film_trial import FilmSelection, Trial, run_trial
from pipelines.classification.labelled import outside_population
from pipelines.classification.rows import Origin
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.config import StudyConfig
from pipelines.evaluation.exams import evaluate_levels
from pipelines.evaluation.ledger import lock, record
from pipelines.progress import Progress, silent
from pipelines.training.session import Session
from storage.atomic import write_json
from storage.manifest import Store
from storage.schemas import EVALUABLE, EXAMS, REGIONS
from storage.tables import write_table

PRIMARY = "AUC over the exams of the test women"
OPTIMISTIC = "selected on the test set, optimistic"


def classify_films(
    store: Store,
    folder: Path,
    config: SupervisedConfig,
    study: StudyConfig,
    session: Session,
    progress: Progress = silent,
) -> str:
    """Write {regions,exams,evaluable}.parquet, metrics.json, flow.json, maps and the finished model; return a line.

    regions: a row per film, exams: a row per exam, of test women and (under protocol=inner) of those held out. The
    protocol is locked before anything is tested (`ledger`) and stands in protocol.json. Raises ConfigError or
    TrainingError where there are too few women, StoppedEarly where the session ends it.
    """
    protocol = {"primary": PRIMARY, "study": asdict(study), "supervised": config.told()}
    identity = lock(store.root, protocol)
    write_json(folder / "protocol.json", {"id": identity, **protocol})
    trial = run_trial(store, folder, study, config, session, progress)
    films = pd.concat(
        [
            film_table(rows, Origin(fold=0, repeat=0, seed=config.seed, method=config.method, split=split))
            for split, rows in _scored(trial, config).items()
        ],
        ignore_index=True,
    )
    exams = exam_rows(films, trial.chosen, store)
    parts = {"train": trial.train.rows, "validation": trial.held_out.rows, "test": trial.test.rows}
    if config.protocol == "paper":  # there the held-out women train as well
        parts = {"train": trial.train.rows, "test": trial.test.rows}
    write_table(folder / "regions.parquet", films, REGIONS)
    write_table(folder / "exams.parquet", exams, EXAMS)
    outside = outside_population(store.manifest, study, "adult", store.outcomes)
    read = evaluable_films(store, set(films["key"]), reasons(store, trial.train.rows, outside))
    write_table(folder / "evaluable.parquet", read, EVALUABLE)
    write_json(folder / "flow.json", flow(store, parts, outside))
    record(store.root, identity, exams)
    write_described(folder, store, study, config, trial)
    maps = write_maps(folder, store, trial.model, trial.test, trial.tested)
    metrics = write_metrics(
        folder, films, exams, trial.chosen, OPTIMISTIC if config.protocol == "paper" else ""
    )
    on_tubes = f"; Grad-CAM {maps['energy']:.2f} on the tubes" if "energy" in maps else ""
    return f"{config.method}: {told(metrics)}{on_tubes}"


def write_metrics(
    folder: Path,
    films: pd.DataFrame,
    exams: pd.DataFrame,
    chosen: FilmSelection,
    warning: str = "",
    met: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write metrics.json: every measure of `evaluate_levels`, and what must be said of all of them.

    met: of `met_before`.
    """
    metrics = evaluate_levels(films, exams, chosen.film_threshold)
    half = (chosen.film_threshold, chosen.exam_threshold) == (0.5, 0.5)
    metrics |= {"calibrated": math.isfinite(chosen.slope), "thresholds": "half" if half else "chosen"}
    metrics |= {"warning": warning, "met_before": list(met)}
    write_json(folder / "metrics.json", metrics)
    return metrics


def told(metrics: dict[str, Any]) -> str:
    """One line: AUC and AUPRC by exam, with n, and by film."""
    auc, n, film = metrics["auc"], metrics["n"], metrics["film"]
    line = (
        f"AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}), "
        f"AUPRC {metrics['pooled']['average_precision']['value']:.3f} over {n['rows']} exams of {n['women']} women, "
        f"{n['positive']} positive; over {film['n']['rows']} films AUC {film['auc']['value']:.3f}"
    )
    line += told_of(metrics["met_before"])
    return f"{line}; {metrics['warning']}" if metrics["warning"] else line


def _scored(trial: Trial, config: SupervisedConfig) -> dict[str, pd.DataFrame]:
    """By split, the films that are in the tables."""
    return {"test": trial.tested} | ({} if config.protocol == "paper" else {"validation": trial.validated})
