"""The folders that a job writes to, each held by one run at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from jobs.compose import settings_yaml
from jobs.config import Settings
from jobs.registry import JOBS
from storage.atomic import write_text
from storage.errors import InputError
from storage.lock import FolderLock


@contextmanager
def held(job: str, *folders: Path) -> Iterator[None]:
    """Make and lock the folders while the job writes to them.

    Raises:
        LockedError: another run holds one of them.
        InputError: one of them is a file.
    """
    with ExitStack() as stack:
        for folder in dict.fromkeys(path.resolve() for path in folders):
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{folder} is a file; name a folder.")
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FolderLock(folder, f"radmill {job}"))
        yield


def record_settings(job: str, out: Path, settings: Settings) -> None:
    """Write OUT/resolved.yaml: every value that this run was made with."""
    write_text(out / "resolved.yaml", settings_yaml(JOBS[job], settings))


def existing(path: str, what: str) -> Path:
    """The folder that the user named.

    Raises:
        InputError: it is not there.
    """
    folder = Path(path)
    if not folder.exists():
        raise InputError(f"{what}={path} does not exist; name an existing folder.")
    return folder


def model_fingerprint(folder: Path) -> str:
    """Identity of a trained model: the first 12 hex digits of its weights' sha256.

    Raises:
        InputError: no finished model lies there.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise InputError(
            f"{folder} holds no finished model (model.safetensors); train one first, or name another folder."
        )
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def segmentation_id(out: Path) -> str:
    """Which segmentation of the store this run uses; InputError as `segmented_by`."""
    return _segmentation(out)["model_id"]


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
