"""Several ranks without Ray: a stop that one rank hears of stops all, and the rest has the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipelines.training.session import DistributedSession, StoppedEarly, until_stopped

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def three_ranks(folder: Path, stop_at: int, meet: Path) -> list[str]:
    """What each of them printed."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(HERE / "three_ranks.py"), *map(str, (folder, rank, stop_at, meet))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    told = [rank.communicate(timeout=300) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], told
    return [out.strip() for out, _ in told]


@pytest.mark.slow
def test_three_ranks_stopped_by_one_go_on_bit_for_bit(tmp_path: Path) -> None:
    assert three_ranks(tmp_path / "whole", 0, tmp_path / "first") == ["10 False"] * 3
    assert three_ranks(tmp_path / "cut", 5, tmp_path / "second") == ["5 True"] * 3
    assert three_ranks(tmp_path / "cut", 0, tmp_path / "third") == ["10 False"] * 3
    whole, cut = (tmp_path / name / "model.safetensors" for name in ("whole", "cut"))
    assert cut.read_bytes() == whole.read_bytes()


def test_one_rank_alone_needs_no_process_group() -> None:
    reported: list[dict[str, float]] = []
    session = DistributedSession(0, 1, "cpu", reported.append, lambda: True, report_every_s=0.0)
    session.report({"loss": 1.0})
    assert (session.device, session.should_stop(1), reported) == (torch.device("cpu"), True, [{"loss": 1.0}])


def test_reports_are_throttled_by_time() -> None:
    reported: list[dict[str, float]] = []
    session = DistributedSession(0, 1, "cpu", reported.append, lambda: False, report_every_s=3600.0)
    for _ in range(3):
        session.report({"loss": 1.0})
    assert reported == []


def test_the_preparation_of_a_rank_stops_without_the_others() -> None:
    """No process group is there to ask, so a collective would fail."""
    session = DistributedSession(1, 2, "cpu", lambda metrics: None, lambda: True)
    progress = until_stopped(session, 10, lambda done, total, note: None)
    with pytest.raises(StoppedEarly):
        progress(1, 5, "films prepared")
