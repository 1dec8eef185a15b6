from __future__ import annotations

import errno
import os

import pytest

from storage.errors import lost_file
from storage.schemas import EXCLUSION_REASONS


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOENT, "vanished"),
        (errno.EIO, "vanished"),
        (errno.EACCES, "no_permission"),
        (errno.EPERM, "no_permission"),
    ],
)
def test_what_another_try_may_mend_has_its_reason(code: int, reason: str) -> None:
    lost = lost_file(OSError(code, os.strerror(code), "a/name/nobody/may/see.dcm"))
    assert lost is not None and lost.reason == reason and reason in EXCLUSION_REASONS
    assert "name" not in str(lost)


def test_damage_is_not_lost() -> None:
    assert lost_file(OSError(errno.EINVAL, "seek")) is None
    assert lost_file(ValueError("bytes")) is None
