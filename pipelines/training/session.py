"""Where a training runs: this process alone, or one rank of many. The loop knows nothing more than this."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Protocol

import torch
import torch.distributed as dist

from pipelines.progress import Progress
from storage.errors import RadmillError


class Session(Protocol):
    """One rank's view of the run. Whoever makes a Session of several ranks initialises the process group."""

    @property
    def rank(self) -> int: ...

    @property
    def world_size(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def report(self, metrics: dict[str, float]) -> None:
        """Hand metrics to whoever watches; a barrier over all ranks, called at every checkpoint."""
        ...

    def should_stop(self, step: int) -> bool:
        """True when the training must save and return after `step`; the same answer on every rank.

        Step 0 is the preparation, in which each rank asks for itself: whoever raises there ends them all.
        """
        ...


class LocalSession:
    """This process alone, on its GPU if there is one."""

    rank = 0
    world_size = 1

    def __init__(self, device: str | None = None, stop: Event | None = None) -> None:
        """device: by default cuda where present; stop: an event that a signal handler sets to stop early."""
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._stop = stop or Event()

    def report(self, metrics: dict[str, float]) -> None:
        """Nobody watches: metrics.jsonl has them."""

    def should_stop(self, step: int) -> bool:
        """True once the event was set."""
        return self._stop.is_set()


class DistributedSession:
    """One rank of several, whose process group somebody has made; nothing but that group is shared."""

    def __init__(
        self,
        rank: int,
        world_size: int,
        device: str,
        report: Callable[[dict[str, float]], None],
        stop_requested: Callable[[], bool],
        report_every_s: float = 10.0,
    ) -> None:
        """report: takes metrics on every rank at once; stop_requested: this rank's own view, cheap to ask."""
        self.rank, self.world_size, self.device = rank, world_size, torch.device(device)
        self._report, self._stop_requested = report, stop_requested
        self._every_s, self._reported = report_every_s, time.monotonic()

    def report(self, metrics: dict[str, float]) -> None:
        """A barrier; the metrics go out when rank 0 has kept quiet for `report_every_s`."""
        due = self.rank == 0 and time.monotonic() - self._reported >= self._every_s
        if self._on_any_rank(due):
            self._reported = time.monotonic()
            self._report(metrics)

    def should_stop(self, step: int) -> bool:
        """True once any rank has been asked to stop; at step 0 this rank alone is asked."""
        return self._on_any_rank(self._stop_requested()) if step else self._stop_requested()

    def _on_any_rank(self, flag: bool) -> bool:
        votes = torch.tensor(float(flag), device=self.device)
        if self.world_size > 1:
            dist.all_reduce(votes)
        return bool(votes.item())


def until_stopped(session: Session, steps: int, progress: Progress) -> Progress:
    """A listener for what precedes the first step: raises StoppedEarly once the session is to stop."""

    def report(done: int, total: int, note: str) -> None:
        progress(done, total, note)
        if session.should_stop(0):
            raise StoppedEarly(0, steps)

    return report


class StoppedEarly(RadmillError):
    """A training was asked to stop, saved its state and can go on (exit code 75). step: 0 in the preparation."""

    exit_code = 75

    def __init__(self, step: int, steps: int) -> None:
        where = f"after step {step} of {steps}" if step else "while the films were prepared"
        super().__init__(f"Stopped {where}; the same command goes on from there.")
        self.step = step
        self.steps = steps

    def __reduce__(self) -> tuple[type[StoppedEarly], tuple[int, int]]:
        return type(self), (self.step, self.steps)
