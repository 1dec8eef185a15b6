"""Every stage over real input."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from jobs import films_stage
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held, record_settings
from jobs.ingest import check as check_ingest
from jobs.ingest import left_out_code, new_secret
from jobs.owner import check_owner, claim
from jobs.pretrain import check_backbone, check_method
from jobs.progress import console
from jobs.stages import check_segmenter, run_stages


def check(settings: Settings) -> None:
    """The inputs are there, the bones can be found, `out` is this run's, the jobs know the method."""
    check_method(settings)
    if settings.study.whole_films:
        films_stage.check_settings(settings)
    check_ingest(settings)
    check_segmenter(settings)
    check_owner(Path(str(settings.out)), _identity(settings), settings.fresh)


def main(settings: Settings) -> int:
    """`radmill run study=hand raw=DIR store=DIR out=DIR [outcomes=FILE] [annotations=DIR | segmenter=DIR]`.

    cluster=slurm submits it and returns 0.
    """
    if said := new_secret(settings):
        console.print(said, markup=False)
    if not (Path(str(settings.out)) / "run.json").exists():
        check_backbone(settings)
    if settings.cluster.kind == "slurm":
        from jobs.submit import submit

        return submit(settings, partial(_take, Path(str(settings.out)), settings))
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("run", out, store):
        _take(out, settings)
        run_stages(Flow(out, settings), store)
    return left_out_code(store)


def _take(out: Path, settings: Settings) -> None:
    """Make `out` this run's; its lock is held."""
    claim(out, _identity(settings), settings.fresh)
    record_settings("run", out, settings)


def _identity(settings: Settings) -> dict[str, str]:
    return {
        "job": "run",
        "study": settings.study.name,
        "raw": str(Path(str(settings.raw)).resolve()),
        "store": str(Path(str(settings.store)).resolve()),
    }
