"""What one job asks of the scheduler, units in the names."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.config import ClusterConfig
from storage.errors import check_at_least


@dataclass(kw_only=True, slots=True, frozen=True)
class Resources:
    """Nodes and what is taken of each.

    memory_gb is per node; timeout_min is the time limit. An array's tasks get these resources each.
    """

    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 1
    gpus_per_node: int = 0
    memory_gb: float = 4
    timeout_min: int = 60

    def __post_init__(self) -> None:
        for name in ("nodes", "tasks_per_node", "cpus_per_task", "timeout_min"):
            check_at_least(f"resources.{name}", getattr(self, name), 1)
        check_at_least("resources.gpus_per_node", self.gpus_per_node, 0)
        check_at_least("resources.memory_gb", self.memory_gb, 0.1)


def task_resources(config: ClusterConfig, *, gpus: bool = False) -> Resources:
    """One array task: as much as a worker; its GPUs only where the task computes with a model."""
    return Resources(
        cpus_per_task=config.cpus_per_worker,
        gpus_per_node=config.gpus_per_worker if gpus else 0,
        memory_gb=config.memory_gb,
        timeout_min=config.timeout_min,
    )


def worker_resources(config: ClusterConfig) -> Resources:
    """A training job: all workers, spread evenly over the nodes, one task per node that owns what its workers need."""
    nodes = config.nodes or config.workers
    workers_per_node = config.workers // nodes
    return Resources(
        nodes=nodes,
        cpus_per_task=workers_per_node * config.cpus_per_worker,
        gpus_per_node=workers_per_node * config.gpus_per_worker,
        memory_gb=workers_per_node * config.memory_gb,
        timeout_min=config.timeout_min,
    )
