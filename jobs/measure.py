"""Time and peak memory of a stage, child processes included."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psutil


class Measured:
    """Context manager; afterwards `seconds` and `peak_mb` (resident memory of this process and its children)."""

    def __init__(self, every_s: float = 0.25) -> None:
        self.seconds = 0.0
        self.peak_mb = 0.0
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Measured:
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._begun

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.peak_mb = max(self.peak_mb, _resident_mb(process))
            if self._stop.wait(self._every_s):
                return


def _resident_mb(process: psutil.Process) -> float:
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended between the listing and the look
    return total / 2**20
