"""Every stage over real input."""

from __future__ import annotations

from pathlib import Path

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import existing, held, record_settings
from jobs.ingest import left_out_code
from jobs.owner import claim
from jobs.stages import check_segmenter, run_stages


def main(settings: Settings) -> int:
    """`radmill run study=hand raw=DIR store=DIR out=DIR [outcomes=FILE] [annotations=DIR | segmenter=DIR]`."""
    raw, store, out = existing(str(settings.raw), "raw"), Path(str(settings.store)), Path(str(settings.out))
    check_segmenter(settings)
    with held("run", out, store):
        identity = {
            "job": "run",
            "study": settings.study.name,
            "raw": str(raw.resolve()),
            "store": str(store.resolve()),
        }
        claim(out, identity, settings.fresh)
        record_settings("run", out, settings)
        run_stages(Flow(out, settings), store)
    return left_out_code(store)
