"""Synthetic radiographs as a hospital would hand them over: films, masks, outcomes, and the oracle's AUC."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.local import num_processes
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held
from jobs.listing import listing
from jobs.progress import console, shown
from jobs.run_dir import StageFolder
from pipelines.progress import Progress
from storage.atomic import write_json


def main(settings: Settings) -> int:
    """`radmill phantoms out=DIR`: the cohort lies in `out` itself."""
    from pipelines.phantoms.study import cohort_writer

    out = Path(str(settings.out))
    with held("phantoms", out), shown("phantoms") as progress:
        summary = cohort_writer(settings.study.name)(
            out, settings.phantoms, num_processes(settings.cluster), progress
        )
    console.print(f"{summary} in {out}", markup=False)
    return 0


def phantoms(flow: Flow) -> StageFolder:
    """The demo's stage: a cohort in OUT/phantoms."""

    def action(folder: Path, progress: Progress) -> str:
        from pipelines.phantoms.study import cohort_writer

        settings = flow.settings
        write = cohort_writer(settings.study.name)
        summary = write(folder, settings.phantoms, num_processes(settings.cluster), progress)
        write_json(folder / "films.json", {"listing": films(folder)})
        return str(summary)

    def films(folder: Path) -> str:
        return f"{listing(folder / 'films')} {listing(folder / 'annotations')}"

    def intact() -> bool:
        folder = flow.out / "phantoms"
        return bool(json.loads((folder / "films.json").read_text())["listing"] == films(folder))

    return flow.stage("phantoms", sections=("phantoms",), inputs={}, action=action, intact=intact)
