"""The way from raw files to the report, shared by `demo` and `run`."""

from __future__ import annotations

from pathlib import Path

from jobs.classify import classify
from jobs.config import Settings
from jobs.flow import Flow
from jobs.ingest import ingest
from jobs.pretrain import pretrain
from jobs.progress import console
from jobs.report import report
from jobs.segment import check_named_segmenter, segment
from jobs.train_segmenter import train_segmenter
from storage.errors import ConfigError

HOW_TO_GET_A_SEGMENTER = (
    "The films have no masks, so a trained segmenter is needed: give annotations=DIR, or segmenter=DIR. "
    "One trained on phantoms alone serves: radmill phantoms, radmill ingest, radmill train-segmenter (see README)."
)


def check_segmenter(settings: Settings) -> None:
    """Raise ConfigError or InputError where the bones could not be found, before anything is made."""
    if settings.study.whole_films:
        return  # the film itself is the region
    if settings.segmenter is not None:
        check_named_segmenter(settings.segmenter, "segmenter", settings)
    elif settings.annotations is None:
        raise ConfigError(HOW_TO_GET_A_SEGMENTER)


def stages_of(settings: Settings) -> tuple[str, ...]:
    """The stages of a run in order; whole films have no bones to find, a named segmenter is not trained."""
    if settings.study.whole_films:
        return ("ingest", "classify", "report")
    training = () if settings.segmenter else ("train-segmenter",)
    return ("ingest", *training, "segment", "pretrain", "classify", "report")


def run_stages(flow: Flow, store: Path) -> Path:
    """Run every stage in order and return the report's path."""
    stages, named = stages_of(flow.settings), flow.settings.segmenter
    ingest(flow, store)
    if "segment" in stages:
        trained = "train-segmenter" in stages
        segment(flow, store, train_segmenter(flow, store).path if trained else Path(str(named)))
        pretrain(flow, store)
    classify(flow, store)
    page = report(flow, store).path / "report.html"
    console.print(f"Report: {page} ({flow.total_s:.0f} s in all)", markup=False)
    return page
