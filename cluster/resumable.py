"""A function that a job simply calls again after a time limit or a preemption: it goes on from what lies on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission


@dataclass(frozen=True)
class Resumable:
    """function: importable by its name on every node. submitit's warning signal then requeues the job."""

    function: Callable[..., object]

    def __call__(self, *arguments: object) -> object:
        """Call it."""
        return self.function(*arguments)

    def checkpoint(self, *arguments: object) -> DelayedSubmission:
        """What the next attempt calls: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)
