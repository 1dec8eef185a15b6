"""The supervisor without Slurm: whatever goes wrong, nobody is left waiting and nothing is left behind."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import attempts
from cluster.allocation import Allocation
from cluster.ray_spec import Place, RaySpec
from cluster.signals import Signals
from cluster.supervisor import Supervisor

ALLOCATION = Allocation(job="7", step="0", restart=0, node=0, nodes=1, cpus=1, gpus=0, memory_gb=0)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Short, as Ray's sockets want it."""
    with tempfile.TemporaryDirectory(prefix="rm", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def signals() -> Iterator[Signals]:
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield Signals()
    for number, handler in before.items():
        signal.signal(number, handler)


def supervisor(run: Path, scratch: Path, signals: Signals) -> tuple[Supervisor, Place]:
    spec = RaySpec(run_folder=str(run), scratch=str(scratch), interface="lo", dashboard=False)
    return Supervisor(spec, ["true"], ALLOCATION, signals), Place(run, ALLOCATION.attempt)


def test_what_nobody_foresaw_ends_the_attempt_in_order(
    tmp_path: Path, scratch: Path, signals: Signals
) -> None:
    one, place = supervisor(tmp_path, scratch, signals)
    place.folder.mkdir(parents=True)
    place.logs(0).parent.write_text("in the way of Ray's logs")
    end = one.run()
    assert (end.word, end.failure) == ("failed", "unknown")
    assert end.sentence.startswith("NotADirectoryError: ")
    assert place.done.read_text() == "failed"
    assert not place.token.exists()
    assert [event["event"] for event in attempts.read(place.attempts)] == ["begin", "end"]


def test_the_nodes_hear_of_an_end_that_can_not_be_judged(
    tmp_path: Path, scratch: Path, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, place = supervisor(tmp_path, scratch, signals)
    place.folder.mkdir(parents=True)
    place.logs(0).parent.write_text("in the way of Ray's logs")

    def broken(*_: object) -> None:
        raise OSError("stale file handle")

    monkeypatch.setattr(one.__class__, "_again", broken)
    with pytest.raises(OSError, match="stale file handle"):
        one.run()
    assert place.done.read_text() == "failed"
    assert one._hearts.orders["leave"] == "failed"
