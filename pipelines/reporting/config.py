"""What the user may set about the report."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import check_between


@dataclass(kw_only=True, slots=True)
class ReportingConfig:
    """What the page shows of the films."""

    worst: int = 24
    """Films shown large, the least sure first."""
    overlay_height: int = 320
    """Their height in pixels."""

    def __post_init__(self) -> None:
        check_between("reporting.worst", self.worst, 0, 200)
        check_between("reporting.overlay_height", self.overlay_height, 64, 1024)
