"""The folders that a job writes to, each held by one run at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.compose import settings_yaml
from jobs.config import Settings
from jobs.listing import files_below
from jobs.registry import JOBS
from jobs.submission import check_free
from pipelines.config import BONES
from storage.atomic import write_text
from storage.errors import ConfigError, InputError, LockedError
from storage.lock import FolderLock

if TYPE_CHECKING:
    from storage.manifest import Store

WEIGHTS = "model.safetensors"
_FILES = ("outcomes", "mapping", "ingest.overrides")
_HELD = {"raw": "films", "outcomes": "a table", "mapping": "a table", "annotations": "masks"}


@contextmanager
def held(job: str, *folders: Path, submission: str = "") -> Iterator[None]:
    """Make and lock the folders while the job writes to them.

    submission: the id of one whose jobs may live and hold the folders too, as they are the caller's own.

    Raises:
        LockedError: another run holds one of them, or jobs that were submitted do.
        InputError: one of them is a file.
    """
    resolved = list(dict.fromkeys(path.resolve() for path in folders))
    for folder in resolved:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; name a folder.")
    with ExitStack() as stack:
        for folder in resolved:
            stack.enter_context(_made(folder))
            check_free(folder, submission)
            stack.enter_context(FolderLock(folder, f"radmill {job}", shared=bool(submission)))
            check_free(folder, submission)  # it may have been submitted in between
        yield


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make the folder; what is still empty of it and its parents goes where the job only refuses."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except (ConfigError, InputError, LockedError):
        with suppress(OSError):  # somebody has put something into it
            for path in absent:
                path.rmdir()
        raise


def record_settings(job: str, out: Path, settings: Settings) -> None:
    """Write OUT/resolved.yaml: every value that this run was made with."""
    write_text(out / "resolved.yaml", settings_yaml(JOBS[job], settings))


def existing(path: str, key: str) -> Path:
    """The folder, or for tables the file, that the user named.

    Raises:
        InputError: it is not there, or of the other kind.
    """
    named, kind, other = Path(path), "folder", "file"
    if key in _FILES:
        kind, other = other, kind
    if not named.exists():
        raise InputError(f"{key}={path} does not exist; name an existing {kind}.")
    if named.is_dir() != (kind == "folder"):
        raise InputError(f"{key}={path} is a {other}; name a {kind}.")
    return named


def png_file(path: str) -> Path:
    """The picture to write; InputError where it is a folder or has another suffix."""
    named = Path(path)
    if named.is_dir() or named.suffix.lower() != ".png":
        raise InputError(f"out={named} must name a PNG file to write, such as sheet.png.")
    return named


def existing_inputs(settings: Settings) -> None:
    """Raise InputError unless the raw films, outcomes and masks that were named are there and hold something."""
    for key in ("raw", "outcomes", "mapping", "annotations"):
        path = getattr(settings, key)
        if path is not None and next(files_below(existing(path, key)), None) is None:
            raise InputError(f"{key}={path} holds no files; name a folder with {_HELD[key]}.")


def opened_store(settings: Settings) -> Store:
    """The store that the user named; InputError where there is none."""
    from storage.manifest import Store

    return Store.open(existing(str(settings.store), "store"))


def model_fingerprint(folder: Path) -> str:
    """Identity of a trained model: the first 12 hex digits of its weights' sha256.

    Raises:
        InputError: no finished model lies there.
    """
    check_model(folder)
    return file_fingerprint(folder / WEIGHTS)


def file_fingerprint(path: Path) -> str:
    """The first 12 hex digits of a file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def initial_weights(source: str | None) -> dict[str, str]:
    """What a stage's question says of the weights that a training begins by, where they are a file."""
    if source is None or not Path(source).is_file():
        return {}
    return {"initial_weights": file_fingerprint(Path(source))}


def check_model(folder: Path, key: str | None = None, stage: str | None = None) -> None:
    """Raise InputError unless a finished model lies there.

    key: what the user typed the folder as; stage: which stage makes such models, whose folder may be meant.
    """
    if (folder / WEIGHTS).is_file():
        return
    if key and stage and (folder / stage / WEIGHTS).is_file():
        raise InputError(f"{key}={folder} is a run; its model is in {key}={folder / stage}.")
    raise InputError(
        f"{folder} holds no finished model ({WEIGHTS}); train one first, or name another folder."
    )


def check_stage_model(out: Path, stage: str, advice: str = "") -> Path:
    """The folder of a stage of this run with its model; InputError where it has not finished, with advice."""
    if not (out / stage / WEIGHTS).is_file():
        raise InputError(
            f"{out} has no finished stage '{stage}'; run radmill {stage} store=DIR out={out} first{advice}."
        )
    return out / stage


def segmentation_id(out: Path) -> str:
    """Which segmentation of the store this run uses; InputError as `segmented_by`."""
    return _segmentation(out)["model_id"]


def regions_id(regions: str, out: Path) -> str:
    """Where regions come from: this run's segmentation for bones, else whole or patches, which need none."""
    return segmentation_id(out) if regions == BONES else regions


def segmented_by(out: Path) -> Path:
    """The segmenter's folder that this run's stage segment used.

    Raises:
        InputError: the stage segment has not finished here.
    """
    return existing(_segmentation(out)["model"], "segmenter")


def _segmentation(out: Path) -> dict[str, str]:
    record = out / "segment" / "segmentation.json"
    if not record.is_file():
        raise InputError(
            f"{out} has no finished stage 'segment'; run radmill segment store=DIR out={out} first."
        )
    return dict(json.loads(record.read_text()))
