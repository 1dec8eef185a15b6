"""Where work runs and how much of the machine it may take."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import check_at_least, check_one_of


@dataclass(kw_only=True, slots=True)
class ClusterConfig:
    """Where a run's stages are computed."""

    kind: str = "local"
    """local runs every stage in this process."""
    processes: int = 0
    """Processes for work that is split by files; 0 takes every CPU."""

    def __post_init__(self) -> None:
        check_one_of("cluster.kind", self.kind, ("local",))
        check_at_least("cluster.processes", self.processes, 0)
