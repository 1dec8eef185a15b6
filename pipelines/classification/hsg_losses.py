"""The HSG paper's comparison: CE, focal and ASL, each alone and after SupCon, over seeds.

`hsg_trial` is one method with one seed, a trial of the sweep hsg_losses; `pr_figure` draws all PR curves in one. The
positive class is occlusion. A film is a sample, an exam the mean of its films' probabilities; women, never films, are
split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
)

from pipelines.classification.film_classify import OPTIMISTIC, PRIMARY
from pipelines.classification.film_tables import exam_rows, film_table
from pipelines.classification.film_trial import at_level, run_trial
from pipelines.classification.rows import Origin
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.evaluation.ledger import lock, record
from pipelines.progress import Progress, silent
from pipelines.training.session import LocalSession, Session
from storage.atomic import replacing, write_json
from storage.errors import ConfigError
from storage.manifest import Store
from storage.wording import counted

LEVELS = ("film", "exam")
PREDICTIONS = "predictions.csv"


def hsg_trial(
    params: Mapping[str, Any], session: Session | None = None, progress: Progress = silent
) -> list[dict[str, Any]]:
    """Train and test one method with one seed; a row per level (film, exam).

    params: store and out (folders), study (a StudyConfig), and any field of SupervisedConfig. `out` gets the
    weights, and predictions.csv: subject, exam, key, outcome, probability of every test film. Resumes there.
    """
    config = _config(params)
    store, out, study = Store.open(Path(params["store"])), Path(params["out"]), params["study"]
    identity = lock(store.root, {"primary": PRIMARY, "study": asdict(study), "supervised": config.told()})
    trial = run_trial(store, out, study, config, session or LocalSession(), progress)
    with replacing(out / PREDICTIONS) as temporary:
        trial.tested.to_csv(temporary, index=False)
    origin = Origin(fold=0, repeat=0, seed=config.seed, method=config.method, split="test")
    record(store.root, identity, exam_rows(film_table(trial.tested, origin), trial.chosen, store))
    thresholds = {"film": trial.chosen.film_threshold, "exam": trial.chosen.exam_threshold}
    rows = [
        {"method": config.method, "seed": config.seed, "protocol": config.protocol, "level": level}
        | {"train": trial.train.rows["subject"].nunique()}  # women
        | measures(at_level(trial.tested, level), thresholds[level])
        | ({"warning": OPTIMISTIC} if config.protocol == "paper" else {})
        for level in LEVELS
    ]
    write_json(out / "trial.json", rows)
    return rows


def _config(params: Mapping[str, Any]) -> SupervisedConfig:
    known = {field.name for field in fields(SupervisedConfig)}
    if unknown := sorted(set(params) - known - {"store", "out", "study"}):
        raise ConfigError(f"A trial of hsg_losses has no parameter {', '.join(unknown)}.")
    return SupervisedConfig(**{name: params[name] for name in known & set(params)})


def measures(rows: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """Accuracy, precision, recall, F1 at the threshold, AUPRC and AUC; None where undefined."""
    outcome_N, probability_N = rows["outcome"].to_numpy(np.int64), rows["probability"].to_numpy()
    called_N = (probability_N >= threshold).astype(np.int64)
    precision, recall, f1, _ = precision_recall_fscore_support(
        outcome_N, called_N, average="binary", zero_division=np.nan
    )
    both = len(np.unique(outcome_N)) == 2
    return {
        "n": len(rows),
        "positive": int(outcome_N.sum()),
        "threshold": float(threshold),
        "accuracy": float(accuracy_score(outcome_N, called_N)),
        "majority_accuracy": float(max(outcome_N.mean(), 1 - outcome_N.mean())),
        "precision": None if np.isnan(precision) else float(precision),
        "recall": None if np.isnan(recall) else float(recall),
        "f1": None if np.isnan(f1) else float(f1),
        "auprc": float(average_precision_score(outcome_N, probability_N)) if both else None,
        "auc": float(roc_auc_score(outcome_N, probability_N)) if both else None,
    }


def pr_figure(path: Path, curves: Mapping[str, Sequence[pd.DataFrame]], stamp: str, banner: str = "") -> Path:
    """All methods' PR curves in one SVG: the mean over seeds of precision at each recall, and the prevalence.

    curves: method -> test predictions (outcome, probability) of each seed, of one level. stamp: printed under
    the figure, such as PHANTOM DATA.
    """
    recall_G = np.linspace(0, 1, 101)
    with matplotlib.rc_context({"svg.hashsalt": "radmill", "svg.fonttype": "none"}):
        figure = Figure(figsize=(5.6, 4.8), layout="constrained")
        axes = figure.subplots()
        losses = list(dict.fromkeys(method.split("+")[-1] for method in curves))
        for method, seeds in curves.items():
            precision_SG = np.stack([_precision_at(rows, recall_G) for rows in seeds])
            found = [average_precision_score(rows["outcome"], rows["probability"]) for rows in seeds]
            label = f"{method}  {np.mean(found):.3f}"
            style = "-" if "+" in method else "--"
            color = f"C{losses.index(method.split('+')[-1])}"  # a loss alone and after SupCon: one color, two styles
            axes.step(recall_G, precision_SG.mean(0), style, where="post", color=color, label=label)
        prevalence = float(np.mean([rows["outcome"].mean() for seeds in curves.values() for rows in seeds]))
        axes.axhline(prevalence, color="0.6", linewidth=0.8)
        axes.annotate(f"prevalence {prevalence:.2f}", (0.02, prevalence), fontsize=7, va="bottom")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.legend(title="average precision", fontsize=7, title_fontsize=7, loc="lower left", frameon=False)
        title = counted(len(curves), "method") + (f" ({banner})" if banner else "")
        axes.set_title(title, fontsize=9)
        figure.text(0.99, 0.005, stamp, ha="right", va="bottom", fontsize=6, color="0.4")
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
    return path


def _precision_at(rows: pd.DataFrame, recall_G: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision of the highest threshold that reaches each recall."""
    precision_K, recall_K, _ = precision_recall_curve(rows["outcome"], rows["probability"])
    order = np.arange(len(recall_K))[::-1]  # recall rising
    reached_G = np.searchsorted(recall_K[order], np.maximum(recall_G, 1e-9))
    at_G: NDArray[np.float64] = precision_K[order][np.minimum(reached_G, len(recall_K) - 1)]
    return at_G
