"""Functions that a guarded child runs in tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from storage.errors import Quarantined

_HOARD: list[np.ndarray] = []


def double(value: int) -> int:
    return 2 * value


def refuse(reason: str, detail: str) -> None:
    raise Quarantined(reason, detail)


def fail() -> None:
    raise KeyError("a bug of ours")


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def fill(megabytes: int) -> int:
    return int(np.ones(megabytes << 20, np.uint8).sum())


def hoard(megabytes: int) -> None:
    _HOARD.append(np.ones(megabytes << 20, np.uint8))


def die(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def die_once(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def pid() -> int:
    return os.getpid()
