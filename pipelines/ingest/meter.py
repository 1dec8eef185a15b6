"""How far the writing of films is: films, megabytes of source files per second, films left out."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Lock

from pipelines.progress import Progress


class Meter:
    """Adds up what several threads finish."""

    def __init__(self, total: int, progress: Progress) -> None:
        """total: films that the plan holds."""
        self._total, self._progress = total, progress
        self._films = self._bytes = self._left = self._before = 0
        self._begun = time.monotonic()
        self._lock = Lock()

    def add(self, films: int, source: Path, left: int) -> None:
        """Count a file that was read; left: how many of its films were left out."""
        try:
            size = source.stat().st_size
        except OSError:
            size = 0  # it vanished, and is among those left out
        self._add(films, size, left)

    def skip(self, films: int, left: int) -> None:
        """Leave out films that an earlier run wrote: they tell nothing of this one's speed."""
        with self._lock:
            self._total -= films
            self._before += films
        self._add(0, 0, left)

    def _add(self, films: int, size: int, left: int) -> None:
        with self._lock:
            self._films += films
            self._bytes += size
            self._left += left
            seconds = max(time.monotonic() - self._begun, 1e-3)
            figures = f"{self._bytes / 1e6 / seconds:.1f} MB/s, {self._left} quarantined"
            figures += f", {self._before:,} written before" if self._before else ""
            self._progress(self._films, self._total, f"films written, {figures}")
