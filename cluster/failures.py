"""Why an attempt ended, in words that decide what happens next.

The process that sees an exception knows most: `record` writes what it is into the file that the supervisor reads.
"""

from __future__ import annotations

import errno
import json
import os
from enum import StrEnum
from pathlib import Path

from storage.atomic import write_json
from storage.errors import ConfigError, InputError, RadmillError, TrainingError

# Exit codes of a driver that the supervisor knows.
DONE, FAILED, USER_ERROR, STOPPED = 0, 1, 2, 75
ERROR_FILE = "RADMILL_ERROR_FILE"


class Failure(StrEnum):
    """Why an attempt ended before its work was done."""

    PREEMPTED = "preempted"
    TIMEOUT = "timeout"
    NODE_FAIL = "node_fail"
    OOM = "oom"
    PORT = "port"
    STORAGE_FULL = "storage_full"
    CONFIG = "config"
    USER_ERROR = "user_error"
    UNKNOWN = "unknown"


# Another start of the driver in this allocation may help; it may not help for ever, so it must make progress.
RESTART = frozenset({Failure.OOM, Failure.UNKNOWN})
# Another attempt, maybe on other nodes, goes on where this one ended.
REQUEUE = frozenset({Failure.PREEMPTED, Failure.TIMEOUT, Failure.NODE_FAIL, Failure.PORT})
# The rest needs a person: more space, another value, another file.


def record(error: BaseException) -> None:
    """Write what `error` is into the file that the environment names; nothing where it names none."""
    path = os.environ.get(ERROR_FILE)
    if path:
        write_json(Path(path), {"failure": failure_of(error).value, "sentence": _sentence(error)})


def failure_of(error: BaseException) -> Failure:
    """The class of an exception, looked for along its causes, for Ray and we wrap what happened in a worker."""
    for one in _causes(error):
        if isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failure.STORAGE_FULL
        if isinstance(one, OSError) and one.errno == errno.EADDRINUSE:
            return Failure.PORT
        # torch and Ray name theirs OutOfMemoryError; neither is imported here.
        if isinstance(one, MemoryError) or "OutOfMemory" in type(one).__name__:
            return Failure.OOM
    for one in _causes(error):
        if isinstance(one, ConfigError):
            return Failure.CONFIG
        if isinstance(one, InputError | TrainingError):
            return Failure.USER_ERROR
    # All else may be gone at the next try: a disk's hiccup, a lost worker, the lock of one that was just killed.
    return Failure.UNKNOWN


def of_driver(code: int, error_file: Path) -> tuple[Failure, str]:
    """(class, sentence) of a driver that ended with `code`, neither 0 nor 75."""
    try:
        recorded = json.loads(error_file.read_text())
        return Failure(recorded["failure"]), str(recorded["sentence"])
    except (OSError, ValueError, KeyError):
        pass
    if code == USER_ERROR:
        return Failure.USER_ERROR, "The driver was refused (exit code 2); its log says why."
    if code < 0:
        return Failure.UNKNOWN, f"The driver was killed by signal {-code}."
    return Failure.UNKNOWN, f"The driver ended with exit code {code}; its log says why."


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            # Ray keeps a worker's exception in `cause` (RayTaskError), Train its workers' in `worker_failures`.
            failures = getattr(one, "worker_failures", None)
            waiting += [getattr(one, "cause", None), one.__cause__, one.__context__]
            waiting += list(failures.values()) if isinstance(failures, dict) else []
    return found


def _sentence(error: BaseException) -> str:
    for one in _causes(error):
        if isinstance(one, RadmillError):
            return str(one)
    return f"{type(error).__name__}: {error}"
