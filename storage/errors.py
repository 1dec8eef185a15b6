"""Every error that a user may see. Each message is a sentence: what was expected, what came, what to do next."""

from __future__ import annotations

import errno
from collections.abc import Collection

# A seek to where a damaged header points, links in circles and endless paths: errors that another try does not mend.
_LASTING = (errno.EINVAL, errno.EOVERFLOW, errno.ELOOP, errno.ENAMETOOLONG)


class RadmillError(Exception):
    """Base of all errors meant for the user; printed as one sentence, without a traceback."""

    exit_code = 1


class ConfigError(RadmillError, ValueError):
    """An argument or a configuration value is wrong (exit code 2)."""

    exit_code = 2


class InputError(RadmillError, ValueError):
    """A folder or a file that the user named is missing, empty or not what it should be (exit code 2)."""

    exit_code = 2


class StorageError(RadmillError, OSError):
    """Bytes at rest are damaged, missing, or can't be written."""


class LockedError(RadmillError):
    """Another run writes to the same folder."""


class TrainingError(RadmillError):
    """Training can't go on: a loss that is not finite, a class that is absent."""


class ClusterError(RadmillError):
    """The scheduler can't do, or did not do, what was asked: it does not answer, a job of it failed."""


class Quarantined(RadmillError):
    """One input file can't be used; it becomes a row in the exclusions, never a crash.

    reason: one of `storage.schemas.EXCLUSION_REASONS`; detail: a few words without path or header value.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Quarantined], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def lost_file(error: BaseException) -> Quarantined | None:
    """What to raise where disk, network or rights failed, not the file's bytes; None for any other error.

    The reason is `vanished`, or `no_permission` where a right is missing: the next ingest tries both again.
    """
    if not isinstance(error, OSError) or error.errno is None or error.errno in _LASTING:
        return None
    if error.errno == errno.ENOENT:
        return Quarantined("vanished")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Quarantined(
            "no_permission", "whoever runs ingest may not read the file; the next ingest tries again"
        )
    code = errno.errorcode.get(error.errno, "unknown")
    return Quarantined("vanished", f"the file can't be read now ({code}); the next ingest tries again")


def check_at_least(field: str, value: float, least: float) -> None:
    """Raise ConfigError unless value >= least; `field` is the dotted name that the user types."""
    if not value >= least:
        raise ConfigError(f"{field} must be at least {least}, but is {value}.")


def check_between(field: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError(f"{field} must be between {low} and {high}, but is {value}.")


def check_one_of(field: str, value: object, allowed: Collection[str]) -> None:
    """Raise ConfigError unless value is one of the allowed words."""
    if value not in allowed:
        raise ConfigError(f"{field} must be one of {', '.join(allowed)}, but is {value}.")
