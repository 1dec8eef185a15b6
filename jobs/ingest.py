"""Raw files into a store: every file ends in the manifest or in the exclusions."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.local import num_processes
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import existing, held
from jobs.listing import listing
from jobs.progress import console, shown
from jobs.run_dir import StageFolder
from pipelines.progress import Progress
from storage.atomic import write_json

QUARANTINED = 3


def main(settings: Settings) -> int:
    """`radmill ingest raw=DIR store=DIR`."""
    store = Path(str(settings.store))
    existing(str(settings.raw), "raw")
    with held("ingest", store), shown("ingest") as progress:
        summary = _ingest(settings, store, progress)
    console.print(f"{summary} in {store}", markup=False)
    return left_out_code(store)


def ingest(flow: Flow, store: Path) -> StageFolder:
    """The stage inside `run` and `demo`."""
    from storage.manifest import Store

    settings = flow.settings
    raw = existing(str(settings.raw), "raw")
    named = {
        key: existing(path, key)
        for key in ("outcomes", "annotations")
        if (path := getattr(settings, key)) is not None
    }
    if settings.ingest.overrides:
        named["ingest.overrides"] = existing(settings.ingest.overrides, "ingest.overrides")

    def action(folder: Path, progress: Progress) -> str:
        summary = _ingest(settings, store, progress, out=flow.out)
        write_json(folder / "store.json", {"fingerprint": Store.open(store).fingerprint()})
        return summary

    def intact() -> bool:
        """The store still holds what this stage put there, and nobody else's ingest."""
        made = json.loads((flow.out / "ingest" / "store.json").read_text())
        return (store / "CURRENT").is_file() and bool(Store.open(store).fingerprint() == made["fingerprint"])

    skip = (store, flow.out, *named.values())
    inputs = {"raw": listing(raw, skip), **{key: listing(path) for key, path in named.items()}}
    return flow.stage("ingest", sections=("ingest",), inputs=inputs, action=action, intact=intact)


def _ingest(settings: Settings, store: Path, progress: Progress, out: Path | None = None) -> str:
    from pipelines.ingest.run import ingest as run_ingest

    summary = run_ingest(
        Path(str(settings.raw)),
        store,
        settings.ingest,
        settings.study,
        outcomes=Path(settings.outcomes) if settings.outcomes else None,
        annotations=Path(settings.annotations) if settings.annotations else None,
        processes=num_processes(settings.cluster),
        skip=(out,) if out else (),
        progress=progress,
    )
    return str(summary)


def left_out_code(store: Path) -> int:
    """The shell's exit code: 3 if some inputs were quarantined, else 0."""
    from storage.manifest import Store

    return QUARANTINED if len(Store.open(store).exclusions) else 0
