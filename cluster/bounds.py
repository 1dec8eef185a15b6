"""How an attempt ended, and how often a part of it may be tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.failures import Failure


@dataclass(slots=True, frozen=True)
class End:
    """How a generation or an attempt ended: word is done, stopped, terminated, failed or ray_lost."""

    word: str
    failure: Failure | None = None
    sentence: str = ""


class Budget:
    """So many tries in a row at the same progress."""

    def __init__(self, progress: Callable[[], int], most: int) -> None:
        self._progress, self._most = progress, most
        self._at, self._used = progress(), 0

    def spend(self) -> bool:
        """True if another try is granted."""
        if (here := self._progress()) > self._at:
            self._used = 0
        self._at = here  # less than before where the work was set aside to begin anew
        self._used += 1
        return self._used <= self._most
