"""Training states on disk.

    checkpoints/
      step-00000100/
        state.pt        what torch.save wrote; loaded with weights_only, so it never runs code
        COMPLETE        size of state.pt in bytes
      step-00000200/

A checkpoint appears under its name whole or not at all; the newest whole one wins, the two newest are kept.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from storage.atomic import new_folder, remove_folder
from storage.errors import StorageError

KEEP = 2
_NAME = re.compile(r"step-(\d{8})")


def save(checkpoints: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the state after `step` updates and forget all but the newest two; returns its folder."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    target = checkpoints / f"step-{step:08d}"
    if not is_complete(target):
        remove_folder(target)
        with new_folder(target) as folder:
            torch.save(state, folder / "state.pt")
            (folder / "COMPLETE").write_text(f"{(folder / 'state.pt').stat().st_size}\n")
    for old in complete(checkpoints)[:-KEEP]:
        remove_folder(old)
    return target


def latest(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint, or None."""
    found = complete(checkpoints)
    return found[-1] if found else None


def load(path: Path) -> dict[str, Any]:
    """The state in a checkpoint's folder, on the CPU; StorageError if it can't be read."""
    try:
        state: dict[str, Any] = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the damage leads to
        raise StorageError(
            f"The checkpoint {path} is damaged; remove this folder to go on from the one before."
        ) from error
    return state


def complete(checkpoints: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    if not checkpoints.is_dir():
        return []
    return sorted(path for path in checkpoints.iterdir() if _NAME.fullmatch(path.name) and is_complete(path))


def is_complete(path: Path) -> bool:
    """True if everything that was written is there."""
    try:
        return int((path / "COMPLETE").read_text()) == (path / "state.pt").stat().st_size
    except (OSError, ValueError):
        return False
