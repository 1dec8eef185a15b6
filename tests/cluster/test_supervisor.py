"""The supervisor without Slurm: whatever goes wrong, nobody is left waiting and nothing is left behind."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import attempts, heartbeat
from cluster.allocation import Allocation
from cluster.announce import new_token
from cluster.heartbeat import HeartbeatServer
from cluster.ray_node import RayNode
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


@pytest.mark.parametrize("lives", [True, False])
def test_a_driver_that_fell_with_a_node_is_told_from_one_that_fell_alone(
    tmp_path: Path, scratch: Path, signals: Signals, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    monkeypatch.setattr(heartbeat, "FENCE_S", 4.0)
    one, place = supervisor(tmp_path, scratch, signals)
    one._hearts = HeartbeatServer("127.0.0.1", "secret")
    place.folder.mkdir(parents=True)
    new_token(place.token)  # without one `ray start` ends at once
    one._node = RayNode(
        ALLOCATION,
        0,
        address="127.0.0.1",
        interface="lo",
        scratch=scratch,
        logs=place.logs(0),
        token_file=place.token,
        head_address="127.0.0.1:1",  # it waits there for a head for longer than this test takes
    )
    try:
        pulse = heartbeat.Pulse("127.0.0.1", one._hearts.port, "secret", node=1)
        while not one._hearts.heard:
            time.sleep(0.02)
        if not lives:
            pulse.goodbye()  # its last word
        end = one._fell_with(0)
        assert (end.failure if end else None) == (None if lives else "node_fail")
        pulse.goodbye()
    finally:
        one._down("failed")
