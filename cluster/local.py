"""This machine: what it grants to us."""

from __future__ import annotations

import os

from cluster.config import ClusterConfig


def num_processes(config: ClusterConfig) -> int:
    """Processes to use: the configured number, else every CPU that this process may run on (affinity, not count)."""
    return config.processes or len(os.sched_getaffinity(0))
