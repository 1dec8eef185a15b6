"""A local training session that a warning signal stops at a step's edge, with everything saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.training.session import LocalSession

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


@contextmanager
def local_session() -> Iterator[LocalSession]:
    """Yield a LocalSession; while it is in use SIGTERM, SIGINT and SIGUSR2 only set its flag."""
    from pipelines.training.session import LocalSession

    stop = Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield LocalSession(stop=stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
