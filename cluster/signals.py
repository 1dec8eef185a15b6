"""Slurm's signals become flags, looked at by a main loop: a handler that does more runs inside of anything."""

from __future__ import annotations

import signal
from types import FrameType


class Signals:
    """warned: USR2, before the time limit or at a preemption; ended: TERM, KillWait before SIGKILL."""

    def __init__(self) -> None:
        self.warned = False
        self.ended = False
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, self._warn)
        signal.signal(signal.SIGTERM, self._end)

    def _warn(self, number: int, frame: FrameType | None) -> None:
        self.warned = True

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.ended = True
