"""OUT/report: metrics.json, the tables, the figures, and the page made of them."""

from __future__ import annotations

from pathlib import Path

from pipelines.config import BONES, StudyConfig
from pipelines.evaluation.config import EvaluationConfig
from pipelines.progress import Progress, silent
from pipelines.reporting.collect import collect
from pipelines.reporting.config import ReportingConfig
from pipelines.reporting.exams import summarise_exams
from pipelines.reporting.figures import draw_all
from pipelines.reporting.film_tiles import draw_films
from pipelines.reporting.html import render
from pipelines.reporting.summary import summarise
from pipelines.reporting.tables import write_tables
from pipelines.reporting.tiles import draw_tiles
from storage.atomic import write_json, write_text


def build_report(
    store_root: Path,
    out: Path,
    study: StudyConfig,
    config: ReportingConfig,
    oracle: Path | None = None,
    population: str = "adult",
    progress: Progress = silent,
    evaluation: EvaluationConfig | None = None,
) -> Path:
    """Make OUT/report from what lies in the store and in OUT, and say which parts are not there yet.

    oracle: oracle.json of a phantom cohort; population: adult, or child, for whom no probability is shown.
    Returns the path of report.html. Equal inputs give equal bytes, times and versions under `run` apart.

    Raises:
        InputError: there is no store, or no file `oracle`.
    """
    inputs = collect(store_root, out, study, oracle, population)
    folder = out / "report"
    if study.unit == "exam":
        metrics = summarise_exams(inputs, oracle)
        shares = (metrics["maps"] or {}).get("shares", {})
        worst, rest = draw_films(inputs, config, shares, progress)
        drawable = inputs.regions["split"].isin(("test", "new")) & inputs.regions["evaluable"].astype(bool)
        total = int(drawable.sum())
        referenced = any(tile.overlay.reference for tile in worst)
    else:
        metrics = summarise(inputs, evaluation or EvaluationConfig())
        # The outlines of bones are no sight of a film that was read whole or in patches.
        worst, rest = draw_tiles(inputs, config, progress) if inputs.read == BONES else ([], [])
        total = len(inputs.segmentation.films) if inputs.segmentation else 0
        referenced = any(tile.numbers["reference"] for tile in worst)
    metrics["films"] = {
        "worst": [tile.numbers for tile in worst],
        "rest": [tile.numbers for tile in rest],
        "worst_shown": len(worst),
        "rest_shown": len(rest),
        "total": total,
        "not_shown": max(0, total - len(worst) - len(rest)),
        "any_reference": referenced,
    }
    figures = draw_all(metrics)
    write_json(folder / "metrics.json", metrics)
    write_tables(inputs, folder)
    for name, svg in figures.items():
        write_text(folder / "figures" / f"{name}.svg", svg)
    write_text(folder / "report.html", render(metrics, figures, worst, rest, inputs.resolved))
    return folder / "report.html"
