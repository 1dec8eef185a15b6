"""What the user may set about the report."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import check_between


@dataclass(kw_only=True, slots=True)
class ReportingConfig:
    """worst: how many films are shown large, the least sure first; overlay_height: their height in pixels."""

    worst: int = 24
    overlay_height: int = 320

    def __post_init__(self) -> None:
        check_between("reporting.worst", self.worst, 0, 200)
        check_between("reporting.overlay_height", self.overlay_height, 64, 1024)
