"""Raw files into a store: every file ends in the manifest or in the exclusions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.local import num_processes
from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import existing, existing_inputs, held
from jobs.listing import listing
from jobs.progress import console, shown
from jobs.run_dir import StageFolder
from pipelines.progress import Progress
from storage.atomic import write_json
from storage.errors import ConfigError

if TYPE_CHECKING:
    from storage.manifest import Store

QUARANTINED = 3


def check(settings: Settings) -> None:
    """Every path is there; the sheet has its columns, and so has the table of overrides."""
    from pipelines.ingest.overrides import read_overrides
    from pipelines.outcomes.sheet import read_outcome_sheet

    if settings.mapping and not settings.outcomes:
        raise ConfigError("mapping= tells the ids of a table of outcomes: give outcomes=FILE too.")
    existing_inputs(settings)
    if settings.outcomes is not None:
        mapping = Path(settings.mapping) if settings.mapping else None
        read_outcome_sheet(Path(settings.outcomes), settings.study, mapping)
    if settings.ingest.overrides:
        read_overrides(existing(settings.ingest.overrides, "ingest.overrides"))


def main(settings: Settings) -> int:
    """`radmill ingest raw=DIR store=DIR`."""
    store = Path(str(settings.store))
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
        for key in ("outcomes", "mapping", "annotations")
        if (path := getattr(settings, key)) is not None
    }
    if settings.ingest.overrides:
        named["ingest.overrides"] = existing(settings.ingest.overrides, "ingest.overrides")

    def action(folder: Path, progress: Progress) -> str:
        summary = _ingest(settings, store, progress, out=flow.out)
        write_json(folder / "store.json", _made(Store.open(store)))
        return summary

    def intact() -> bool:
        """The store still holds what this stage put there, and nobody else's ingest."""
        made = json.loads((flow.out / "ingest" / "store.json").read_text())
        return (store / "CURRENT").is_file() and bool(_made(Store.open(store)) == made)

    skip = (store, flow.out, *named.values())
    inputs = {"raw": listing(raw, skip), **{key: listing(path) for key, path in named.items()}}
    return flow.stage("ingest", sections=("ingest",), inputs=inputs, action=action, intact=intact)


def _ingest(settings: Settings, store: Path, progress: Progress, out: Path | None = None) -> str:
    from pipelines.ingest.run import ingest as run_ingest
    from storage.identity import key_path

    key = key_path(store, settings.ingest.key_file)
    had_key = key.exists()
    summary = run_ingest(
        Path(str(settings.raw)),
        store,
        settings.ingest,
        settings.study,
        outcomes=Path(settings.outcomes) if settings.outcomes else None,
        annotations=Path(settings.annotations) if settings.annotations else None,
        mapping=Path(settings.mapping) if settings.mapping else None,
        processes=num_processes(settings.cluster),
        skip=(out,) if out else (),
        progress=progress,
    )
    made_key = not had_key and key.exists()
    return f"{summary}; made the secret {key}: keep it, and keep it private" if made_key else str(summary)


def _made(store: Store) -> dict[str, str]:
    return {"fingerprint": store.fingerprint(), "outcomes": store.outcomes_fingerprint()}


def left_out_code(store: Path) -> int:
    """The shell's exit code: 3 if some inputs were quarantined, else 0."""
    from storage.manifest import Store

    return QUARANTINED if len(Store.open(store).all_exclusions) else 0
