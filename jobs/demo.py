"""Phantoms, then every stage, on this machine: nothing is downloaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held, record_settings
from jobs.owner import check_owner, claim
from jobs.phantoms import phantoms
from jobs.pretrain import check_method
from jobs.stages import run_stages


def check(settings: Settings) -> None:
    """`out` is this demo's, and the jobs know the method."""
    check_method(settings)
    check_owner(Path(str(settings.out)), _identity(settings), settings.fresh)


def main(settings: Settings) -> int:
    """`radmill demo [out=DIR]`: everything below `out`: store, one folder per stage, the report."""
    out = Path(str(settings.out))
    store = out / "store"
    with held("demo", out, store):
        claim(out, _identity(settings), settings.fresh)
        record_settings("demo", out, settings)
        flow = Flow(out, settings)
        raw = phantoms(flow).path
        flow.settings = replace(
            settings,
            raw=str(raw / "films"),
            outcomes=str(raw / "outcomes.csv"),
            annotations=str(raw / "annotations"),
            # other phantoms take the place of those before
            ingest=replace(settings.ingest, drop_missing=True),
        )
        run_stages(flow, store)
    return 0


def _identity(settings: Settings) -> dict[str, str]:
    return {"job": "demo", "study": settings.study.name}
