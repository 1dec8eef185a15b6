"""What asks a training to stop: a signal to this process, or a file that whoever watches over it has made."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.training.session import LocalSession

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
STOP_FILE = "RADMILL_STOP_FILE"  # names the file that a job's supervisor makes when its time is up
_LOOK_EVERY_S = 0.5


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within it SIGTERM, SIGINT and SIGUSR2 call `stop` and do nothing else.

    A signal that came, and that nobody took up by raising StoppedEarly, is raised again afterwards; so is SIGUSR2 in
    any case where somebody listened to it before: a scheduler's job is then started again. In any thread but the
    first, such as a trial's, nothing changes: Python hears signals there alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = list[int]()

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        stop()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if signal.SIGUSR2 in received and callable(before[signal.SIGUSR2]):
            # submitit's: it asks for another attempt and ends this one. SIGTERM may have followed the warning.
            signal.raise_signal(signal.SIGUSR2)
    if received:  # it came too late for a step's edge: what follows must not run either
        signal.raise_signal(received[-1])


@contextmanager
def local_session() -> Iterator[LocalSession]:
    """Yield a session of this process alone, which the signals or the supervisor's file stop at a step's edge."""
    from pipelines.training.session import LocalSession

    stop = _Stop(stop_file())
    with stopped_by_signals(stop.set):
        yield LocalSession(stop=stop)


def stop_file() -> Path | None:
    """The file by which a supervisor asks this process to stop, if there is one."""
    path = os.environ.get(STOP_FILE)
    return Path(path) if path else None


class _Stop(Event):
    """An event that is also set by a file, looked for at most every half second."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path, self._looked = path, -float("inf")

    def is_set(self) -> bool:
        now = time.monotonic()
        if self._path is not None and now - self._looked >= _LOOK_EVERY_S:
            self._looked = now
            if self._path.exists():
                self.set()
        return super().is_set()
