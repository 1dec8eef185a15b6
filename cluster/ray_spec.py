"""What a Ray job needs to know, and where its files lie.

RUN/
  attempts.jsonl          what happened, a line per event
  cluster.json            where Ray and its dashboard are now
  ray/<job>.<step>.<restart>/
    g0.json ...           how the nodes meet; a new one each time Ray is brought up again
    token                 0600; Ray's and the heartbeat's, gone at the end
    STOP                  asks the driver to stop at the next step's edge
    error.json            what the driver says of its own failure
    DONE                  tells every node to leave: done, failed or requeue
    nodes/<k>/            Ray's logs of node k
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.config import ClusterConfig
from cluster.scratch import check_root
from storage.errors import check_at_least

_NUMBER = re.compile(r"\d+")


@dataclass(kw_only=True, slots=True)
class RaySpec:
    """A Ray cluster of one Slurm job; plain values, so that it travels as JSON."""

    run_folder: str
    """Folder of the run on shared storage."""
    nodes: int = 1
    """Nodes that must be there before the driver starts."""
    interface: str = ""
    """Network interface between nodes; none takes that of the node's name."""
    scratch: str = "/tmp"
    """Node-local folder, short."""
    dashboard: bool = True
    """Ray's dashboard, on the first node's loopback, behind the token."""
    progress: str = "checkpoints/step-*"
    """Pattern below run_folder whose names' last number grows as a stage does; bounds are eased only by it."""
    signal_delay_s: int = 120
    """Seconds between the warning and the time limit, as the job was submitted with."""
    ready_timeout_s: int = 300
    """Seconds for all nodes to join."""
    max_timeouts: int = 10
    """Time limits that the job may reach."""
    max_attempts: int = 20
    """Attempts of the job, for whatever reason."""
    max_without_progress: int = 3
    """Attempts in a row that may begin at the same progress."""

    def __post_init__(self) -> None:
        check_root(self.scratch)
        for name in ("nodes", "ready_timeout_s", "max_attempts", "max_without_progress"):
            check_at_least(f"cluster.{name}", getattr(self, name), 1)
        check_at_least("cluster.max_timeouts", self.max_timeouts, 0)

    def progress_now(self) -> int:
        """The largest number that ends a name in each folder that the pattern finds, summed over folders.

        So a later stage's progress shows beside an earlier one's; 0 before there is any.
        """
        newest: dict[Path, int] = {}
        for path in Path(self.run_folder).glob(self.progress):
            if found := _NUMBER.findall(path.name):
                newest[path.parent] = max(newest.get(path.parent, 0), int(found[-1]))
        return sum(newest.values())


def spec_of(config: ClusterConfig, run_folder: Path, **values: Any) -> RaySpec:
    """A run's RaySpec as the user configured the cluster; values: further ones, such as `progress`.

    run_folder: for its story, logs and token, seen from every node.
    """
    return RaySpec(
        run_folder=str(run_folder),
        nodes=config.nodes or config.workers,
        interface=config.interface or "",
        scratch=config.scratch,
        dashboard=config.dashboard,
        signal_delay_s=config.signal_delay_s,
        max_timeouts=config.max_timeouts,
        max_attempts=config.max_attempts,
        **values,
    )


@dataclass(slots=True, frozen=True)
class Place:
    """The files of one attempt."""

    run_folder: Path
    attempt: str

    @property
    def folder(self) -> Path:
        """ray/<job>.<step>.<restart>."""
        return self.run_folder / "ray" / self.attempt

    @property
    def cluster_file(self) -> Path:
        """Where Ray is now, for `radmill dashboard`."""
        return self.run_folder / "cluster.json"

    @property
    def attempts(self) -> Path:
        """The run's story."""
        return self.run_folder / "attempts.jsonl"

    @property
    def token(self) -> Path:
        """The attempt's secret."""
        return self.folder / "token"

    @property
    def stop(self) -> Path:
        """Its presence asks the driver to stop."""
        return self.folder / "STOP"

    @property
    def done(self) -> Path:
        """Its presence tells agents to leave; holds done, failed or requeue."""
        return self.folder / "DONE"

    @property
    def error(self) -> Path:
        """The driver's word on its failure."""
        return self.folder / "error.json"

    def meeting(self, generation: int) -> Path:
        """How nodes meet."""
        return self.folder / f"g{generation}.json"

    def logs(self, node: int) -> Path:
        """Ray's logs of a node."""
        return self.folder / "nodes" / str(node)
