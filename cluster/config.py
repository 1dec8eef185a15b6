"""Where work runs and how much of it each piece may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.errors import ConfigError, check_at_least, check_one_of

KINDS = ("local", "slurm", "allocation", "debug")
# A unix socket's path holds 107 bytes; Ray's own part and our folder's name take the rest (notes in ray_cluster).
MOST_SCRATCH_BYTES = 24


@dataclass(kw_only=True, slots=True)
class ClusterConfig:
    """Where a run's stages are computed, and what a job asks of the scheduler."""

    kind: str = "local"
    """local: this machine; slurm: submitted, the shell may go; allocation: inside your own sbatch or salloc."""
    processes: int = 0
    """Processes for work that is split by files; 0 takes every CPU."""
    workers: int = 1
    """Training processes that share a batch; 1 trains without Ray."""
    nodes: int = 0
    """Nodes of a training job; 0 takes one for every worker."""
    cpus_per_worker: int = 4
    """CPUs of a worker, and of an array task."""
    gpus_per_worker: int = 0
    """GPUs of a worker; array tasks that compute with a model get as many."""
    threads_per_worker: int = 0
    """Threads of a worker's computation, which bitwise results depend on; 0 leaves it to the stage."""
    max_failures: int = 3
    """Workers that a training may lose within a job; each time it goes on from its newest checkpoint."""
    memory_gb: float = 8
    """Memory of a worker, and of an array task, in GB."""
    timeout_min: int = 240
    """Time limit of a job, in minutes; a training that reaches it goes on in the next attempt."""
    array_width: int = 16
    """Array tasks that a stage is cut into; no array runs more of its tasks at once."""
    partition: str | None = None
    """Slurm partition; none takes the cluster's default."""
    account: str | None = None
    """Slurm account that pays."""
    qos: str | None = None
    """Slurm quality of service."""
    constraint: str | None = None
    """Features that a node must have, as Slurm's --constraint takes them."""
    exclude: str | None = None
    """Nodes never to use, as Slurm writes them, such as n1,n[4-7]."""
    setup: list[str] = field(default_factory=list)
    """Shell lines run on the first node before a job starts, such as [module load gcc]."""
    srun_args: list[str] = field(default_factory=list)
    """Further arguments of srun."""
    interface: str | None = None
    """Network interface between nodes, such as ib0; none takes that to which the node's name resolves."""
    scratch: str = "/tmp"
    """Node-local folder for sockets and temporary files; short, for a socket's path holds 107 bytes."""
    dashboard: bool = True
    """Ray's dashboard, on loopback, behind a token."""
    site: str | None = None
    """Name in cluster/sites, or a YAML file: your cluster's values, which keys that you type override."""
    signal_delay_s: int = 120
    """Seconds between the warning and the time limit."""
    max_timeouts: int = 10
    """Time limits that a job may reach before it stays down."""
    max_attempts: int = 20
    """Attempts of a job, for whatever reason the one before ended."""

    def __post_init__(self) -> None:
        check_one_of("cluster.kind", self.kind, KINDS)
        for name in (
            "processes",
            "nodes",
            "gpus_per_worker",
            "threads_per_worker",
            "max_failures",
            "max_timeouts",
        ):
            check_at_least(f"cluster.{name}", getattr(self, name), 0)
        for name in (
            "workers",
            "cpus_per_worker",
            "timeout_min",
            "array_width",
            "signal_delay_s",
            "max_attempts",
        ):
            check_at_least(f"cluster.{name}", getattr(self, name), 1)
        check_at_least("cluster.memory_gb", self.memory_gb, 0.1)
        if self.nodes and self.workers % self.nodes:
            raise ConfigError(
                f"cluster.workers must be a multiple of cluster.nodes, but {self.workers} workers "
                f"can't be spread evenly over {self.nodes} nodes."
            )
        if not self.scratch.startswith("/"):
            raise ConfigError(f"cluster.scratch must be an absolute path, but is {self.scratch}.")
        if len(self.scratch.encode()) > MOST_SCRATCH_BYTES:
            raise ConfigError(
                f"cluster.scratch must have at most {MOST_SCRATCH_BYTES} bytes, for Ray's sockets lie below it and a "
                f"socket's path holds 107; {self.scratch} has {len(self.scratch.encode())}. Name a shorter folder."
            )
