"""Raw files into a store: every file ends in the manifest or in the exclusions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.local import num_processes
from jobs.config import Settings
from jobs.flow import Begun, Flow
from jobs.folders import existing, existing_inputs, held
from jobs.listing import listing
from jobs.progress import console, shown
from jobs.run_dir import StageFolder
from pipelines.progress import Progress
from storage.atomic import write_bytes, write_json
from storage.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.ingest.task import IngestTask
    from storage.manifest import Store

QUARANTINED = 3
ORACLE_RULES = ("<= -2.5", "any_tube")  # the outcomes that the phantoms' perfect readers tell
ORACLE = ("oracle.json", "films.csv")  # which phantoms of whole films have beside their folder of films


def check(settings: Settings) -> None:
    """Every path is there; the sheet has its columns, and so has the table of overrides; the secret is the store's."""
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
    ingest_task(settings, Path(str(settings.store)), None).check_secret()


def new_secret(settings: Settings) -> str | None:
    """What to say before a secret is made where the user named its file: a mistyped path would be another's."""
    key_file = settings.ingest.key_file
    if key_file is None or Path(key_file).exists():
        return None
    return (
        f"key_file={key_file} does not exist, so a new secret is made there: nobody has the same pseudonym as in "
        "stores of another secret. Name the other's file if the same people shall have the same pseudonyms."
    )


def main(settings: Settings) -> int:
    """`radmill ingest raw=DIR store=DIR`."""
    store = Path(str(settings.store))
    if said := new_secret(settings):
        console.print(said, markup=False)
    with held("ingest", store), shown("ingest") as progress:
        summary = _ingest(settings, store, progress)
    console.print(f"{store}: {summary}", markup=False)
    return left_out_code(store)


def ingest(flow: Flow, store: Path) -> StageFolder:
    """The stage inside `run` and `demo`."""

    def action(folder: Path, progress: Progress) -> str:
        summary = _ingest(flow.settings, store, progress, out=flow.out)
        record_made(folder, store)
        return summary

    return flow.stage(
        "ingest",
        sections=("ingest",),
        inputs=_inputs(flow, store),
        action=action,
        intact=_intact(flow, store),
    )


def begin(flow: Flow, store: Path) -> Begun:
    """The stage's question alone, for steps in other processes (jobs/ingest_steps.py)."""
    return flow.begin(
        "ingest", sections=("ingest",), inputs=_inputs(flow, store), intact=_intact(flow, store)
    )


def record_made(folder: Path, store: Path) -> None:
    """Write down which store the stage has made."""
    from storage.manifest import Store

    write_json(folder / "store.json", _made(Store.open(store)))


def _inputs(flow: Flow, store: Path) -> dict[str, str]:
    settings = flow.settings
    raw = existing(str(settings.raw), "raw")
    named = {
        key: existing(path, key)
        for key in ("outcomes", "mapping", "annotations")
        if (path := getattr(settings, key)) is not None
    }
    if settings.ingest.overrides:
        named["ingest.overrides"] = existing(settings.ingest.overrides, "ingest.overrides")
    skip = (store, flow.out, *named.values())
    return {"raw": listing(raw, skip), **{key: listing(path) for key, path in named.items()}}


def _intact(flow: Flow, store: Path) -> Callable[[], bool]:
    """Whether the store still holds what this stage put there, and nobody else's ingest."""
    from storage.manifest import Store

    def intact() -> bool:
        made = json.loads((flow.out / "ingest" / "store.json").read_text())
        return (store / "CURRENT").is_file() and bool(_made(Store.open(store)) == made)

    return intact


def _ingest(settings: Settings, store: Path, progress: Progress, out: Path | None = None) -> str:
    from pipelines.ingest.run import run_task
    from storage.identity import key_path

    key = key_path(store, settings.ingest.key_file)
    had_key = key.exists()
    summary = run_task(ingest_task(settings, store, out), num_processes(settings.cluster), progress)
    keep_oracle(settings, store)
    return f"{summary}{made_key(key, had_key)}"


def keep_oracle(settings: Settings, store_root: Path) -> None:
    """Put the oracle of a phantom cohort of whole films beside the store that they went to.

    It tells what a perfect reader makes of each film, so that the report of whatever reads them later has it too.
    """
    from storage.manifest import Store

    if not settings.study.whole_films or set(Store.open(store_root).manifest["data_kind"]) != {"phantom"}:
        return
    for name in ORACLE:
        beside = Path(str(settings.raw)).parent / name
        if beside.is_file():
            write_bytes(oracle_folder(store_root) / name, beside.read_bytes())


def oracle_folder(store_root: Path) -> Path:
    """STORE.phantoms: outside the store, which is a function of the films alone."""
    return store_root.with_name(f"{store_root.name}.phantoms")


def ingest_task(settings: Settings, store: Path, out: Path | None) -> IngestTask:
    """What the pipeline is asked to do. out: a folder of results, which is no input though it may lie below raw=."""
    from pipelines.ingest.task import IngestTask

    return IngestTask(
        raw=Path(str(settings.raw)),
        store_root=store,
        config=settings.ingest,
        study=settings.study,
        outcomes=Path(settings.outcomes) if settings.outcomes else None,
        annotations=Path(settings.annotations) if settings.annotations else None,
        mapping=Path(settings.mapping) if settings.mapping else None,
        skip=(out,) if out else (),
    )


def made_key(key: Path, had_key: bool) -> str:
    """What to add to the summary where this ingest has made the secret."""
    made = not had_key and key.exists()
    return f"; made the secret {key}: keep it, and keep it private" if made else ""


def _made(store: Store) -> dict[str, str]:
    return {"fingerprint": store.fingerprint(), "outcomes": store.outcomes_fingerprint()}


def left_out_code(store: Path) -> int:
    """The shell's exit code: 3 if some inputs were quarantined, else 0."""
    from storage.manifest import Store

    return QUARANTINED if len(Store.open(store).all_exclusions) else 0
