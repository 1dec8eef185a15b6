"""How long work says how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

# (done, total, note): done and total count the same things (films, steps); the note names them and adds figures.
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, note: str) -> None:
    """A listener that says nothing; the default of every function that reports progress."""
