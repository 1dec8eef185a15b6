"""The line between supervisor and agents, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from cluster import heartbeat
from cluster.heartbeat import HeartbeatServer, Pulse


@pytest.fixture
def server() -> Iterator[HeartbeatServer]:
    server = HeartbeatServer("127.0.0.1", "secret")
    yield server
    server.close()


def wait(until: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_one_says_the_other_hears(server: HeartbeatServer) -> None:
    server.orders = {"generation": 4}
    pulse = Pulse("127.0.0.1", server.port, "secret", node=2)
    wait(lambda: pulse.orders == {"generation": 4})
    pulse.say(heartbeat.UP, 4)
    wait(lambda: server.heard[2].state == heartbeat.UP and server.heard[2].generation == 4)
    server.orders = {"leave": "done"}
    wait(lambda: pulse.orders == {"leave": "done"})
    pulse.goodbye()
    assert server.heard[2].state == heartbeat.LEFT


def test_a_stranger_is_not_heard(server: HeartbeatServer) -> None:
    server.orders = {"generation": 0}
    pulse = Pulse("127.0.0.1", server.port, "guess", node=1)
    pulse._speak()
    assert (server.heard, pulse.orders) == ({}, {})
    pulse.goodbye()


def test_both_sides_notice_silence(server: HeartbeatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "FENCE_S", 0.5)
    server.orders = {"generation": 0}
    pulse = Pulse("127.0.0.1", server.port, "secret", node=1)
    wait(lambda: 1 in server.heard)
    server.close()
    wait(lambda: pulse.lost)
    wait(lambda: server.silent() == [1])
    pulse.goodbye()


def test_what_was_heard_does_not_change_while_it_is_walked_through(server: HeartbeatServer) -> None:
    said = {"token": "secret", "state": heartbeat.UP, "generation": 0, "sentence": ""}
    server._answer(said | {"node": 1})
    for node in server.heard:
        server._answer(said | {"node": node + 1})
    assert sorted(server.heard) == [1, 2]
