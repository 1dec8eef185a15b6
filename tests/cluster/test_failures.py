"""Exceptions become classes, and exit codes too."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cluster.failures import ERROR_FILE, Failure, failure_of, of_driver, record
from storage.errors import ConfigError, InputError, LockedError, RadmillError, StorageError, TrainingError


class OutOfMemoryError(RuntimeError):
    """As torch and Ray name theirs."""


class WrappedError(RuntimeError):
    """As Ray hands a worker's exception to the driver."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__("a worker failed")
        self.cause = cause


def full() -> StorageError:
    error = StorageError("No space left on /data; free some.")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ConfigError("x must be 1."), Failure.CONFIG),
        (InputError("no such folder."), Failure.USER_ERROR),
        (TrainingError("The loss is not finite."), Failure.USER_ERROR),
        (LockedError("Another run writes here."), Failure.UNKNOWN),
        (StorageError("A film can't be read."), Failure.UNKNOWN),
        (RadmillError("No Ray answers."), Failure.UNKNOWN),
        (full(), Failure.STORAGE_FULL),
        (OSError(errno.EADDRINUSE, "in use"), Failure.PORT),
        (MemoryError(), Failure.OOM),
        (OutOfMemoryError("CUDA"), Failure.OOM),
        (ValueError("a bug"), Failure.UNKNOWN),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_class_of_an_exception(error: BaseException, failure: Failure, wrapped: bool) -> None:
    assert failure_of(WrappedError(error) if wrapped else error) is failure


def test_what_the_driver_said_goes_before_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "error.json"
    monkeypatch.setenv(ERROR_FILE, str(path))
    record(WrappedError(InputError("No film in store.")))
    assert of_driver(1, path) == (Failure.USER_ERROR, "No film in store.")


def test_an_exit_code_alone(tmp_path: Path) -> None:
    path = tmp_path / "error.json"
    assert of_driver(2, path)[0] is Failure.USER_ERROR
    assert of_driver(-9, path) == (Failure.UNKNOWN, "The driver was killed by signal 9.")
    assert of_driver(1, path)[0] is Failure.UNKNOWN
