"""The stage classify of studies that read whole films by exam: one method, trained and tested by woman."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.config import Settings
from jobs.flow import Flow
from jobs.run_dir import StageFolder
from jobs.session import local_session
from pipelines.progress import Progress

if TYPE_CHECKING:
    from storage.manifest import Store


def check(store: Store, settings: Settings) -> None:
    """The study reads whole films by exam, and exams have outcomes by its rule."""
    from pipelines.classification.exams import check_whole, exam_outcomes

    check_whole(settings.study)
    exam_outcomes(store, settings.study)


def classify_films(flow: Flow, store: Store) -> StageFolder:
    """OUT/classify/: the model, predictions.csv of the test women, trial.json with the measures, maps.json."""
    settings = flow.settings

    def action(folder: Path, progress: Progress) -> str:
        from pipelines.classification.hsg_losses import explain_trial, hsg_trial

        params = {**asdict(settings.supervised), "store": store.root, "out": folder, "study": settings.study}
        with local_session() as session:
            film, exam = hsg_trial(params, session, progress)
        maps = explain_trial(params)
        warning = f"; {film['warning']}" if "warning" in film else ""
        on_tubes = f"; Grad-CAM {maps['energy']:.2f} on the tubes" if "energy" in maps else ""
        return (
            f"{film['method']}: AUPRC {film['auprc']:.3f} over {film['n']} films, {exam['auprc']:.3f} over "
            f"{exam['n']} exams ({exam['positive']} positive){on_tubes}{warning}"
        )

    inputs = {"store": store.fingerprint(), "outcomes": store.outcomes_fingerprint()}
    return flow.stage("classify", sections=("supervised",), inputs=inputs, action=action)
