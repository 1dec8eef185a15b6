"""A checkpoint is there whole or not at all, and never runs code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from pipelines.training import checkpoint
from storage.errors import StorageError


def test_round_trip_and_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 20):
        checkpoint.save(tmp_path, step, {"weight": torch.full((2,), step)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000020"]
    newest = checkpoint.latest(tmp_path)
    assert newest is not None and newest.name == "step-00000020"
    assert torch.equal(checkpoint.load(newest)["weight"], torch.full((2,), 20))


def test_without_checkpoints_there_is_none(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path / "checkpoints") is None
    assert checkpoint.latest(tmp_path) is None


@pytest.mark.parametrize("damage", ["truncated", "unmarked"])
def test_a_checkpoint_that_is_not_whole_is_passed_over_and_replaced(tmp_path: Path, damage: str) -> None:
    checkpoint.save(tmp_path, 1, {"weight": 1.0})
    bad = checkpoint.save(tmp_path, 2, {"weight": 2.0})
    if damage == "truncated":
        os.truncate(bad / "state.pt", 10)
    else:
        (bad / "COMPLETE").unlink()
    newest = checkpoint.latest(tmp_path)
    assert newest is not None and checkpoint.load(newest) == {"weight": 1.0}
    checkpoint.save(tmp_path, 2, {"weight": 3.0})
    newest = checkpoint.latest(tmp_path)
    assert newest is not None and checkpoint.load(newest) == {"weight": 3.0}


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch was_here",)


def test_code_in_a_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = checkpoint.save(tmp_path / "checkpoints", 1, {"weight": _Code()})
    with pytest.raises(StorageError, match=r"is damaged; remove this folder to go on from the one before\.$"):
        checkpoint.load(path)
    assert not (tmp_path / "was_here").exists()
