"""What a stage is asked holds what decides over its own outcome, and nothing else."""

from dataclasses import replace
from pathlib import Path

from jobs.compose import settings_for
from jobs.config import Settings
from jobs.flow import Flow
from jobs.registry import JOBS


def test_gates_for_films_are_asked_of_ingest_alone(tmp_path: Path) -> None:
    settings = settings_for(JOBS["ingest"], ["raw=r", "store=s"])
    changed = replace(settings, study=replace(settings.study, views=["AP"]))
    dropping = replace(settings, ingest=replace(settings.ingest, drop_missing=True))

    def asked(settings: Settings, section: str) -> object:
        return Flow(tmp_path, settings).begin(section, sections=(section,), inputs={}).folder.asked

    assert asked(settings, "ingest") != asked(changed, "ingest")
    assert asked(settings, "pretraining") == asked(changed, "pretraining")
    assert asked(settings, "ingest") == asked(dropping, "ingest"), (
        "it decides nothing but whether films may go"
    )
