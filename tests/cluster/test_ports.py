"""Blocks of ports: never shared, by lock and by bind."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster import ports
from cluster.ports import END, FIRST, WIDTH, take_block
from storage.errors import StorageError


def test_two_takers_never_share_a_block(tmp_path: Path) -> None:
    first, second = take_block(tmp_path, 5), take_block(tmp_path, 5)
    assert abs(first.base - second.base) >= WIDTH
    assert all(block[0] >= FIRST and block[WIDTH - 1] < END for block in (first, second))
    base = first.base
    first.release()
    assert take_block(tmp_path, 5).base == base
    second.release()


@pytest.mark.parametrize("reuse", [0, socket.SO_REUSEPORT])
def test_a_block_with_a_listener_is_passed_over(tmp_path: Path, reuse: int) -> None:
    free = take_block(tmp_path, 17)
    free.release()
    with socket.socket() as listener:  # another user's, who knows no lock of ours
        if reuse:
            listener.setsockopt(socket.SOL_SOCKET, reuse, 1)
        listener.bind(("0.0.0.0", free[9]))
        listener.listen()
        other = take_block(tmp_path, 17)
    assert other.base != free.base
    other.release()


def test_no_block_left_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "END", FIRST + WIDTH)
    only = take_block(tmp_path, 0)
    with pytest.raises(StorageError, match=r"^No 16 free ports in a row"):
        take_block(tmp_path, 0)
    only.release()


def test_a_place_beyond_the_block_is_refused(tmp_path: Path) -> None:
    block = take_block(tmp_path, 3)
    with pytest.raises(IndexError):
        block[WIDTH]
    block.release()
