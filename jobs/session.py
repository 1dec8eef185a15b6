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
    """Yield a LocalSession; while it is in use SIGTERM, SIGINT and SIGUSR2 only set its flag.

    A signal that no step's edge took up is raised again afterwards.
    """
    from pipelines.training.session import LocalSession

    stop, received = Event(), list[int]()

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield LocalSession(stop=stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:  # it came too late for a step's edge: what follows must not run either
        signal.raise_signal(received[-1])
