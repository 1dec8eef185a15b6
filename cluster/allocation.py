"""What Slurm has granted to this task, read from its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from storage.errors import ConfigError


@dataclass(kw_only=True, slots=True, frozen=True)
class Allocation:
    """One task of a step that has one task per node."""

    job: str
    step: str
    restart: int
    node: int
    nodes: int
    cpus: int
    gpus: int
    memory_gb: float
    """0 where Slurm does not limit memory."""

    @property
    def attempt(self) -> str:
        """A name that no other attempt has, on no node and in no run folder."""
        return f"{self.job}.{self.step}.{self.restart}"


def granted(environment: Mapping[str, str] = os.environ) -> Allocation:
    """The allocation of this task; raises ConfigError outside of a Slurm step."""
    try:
        cpus = int(environment.get("SLURM_CPUS_PER_TASK") or environment["SLURM_CPUS_ON_NODE"])
        return Allocation(
            job=environment["SLURM_JOB_ID"],
            step=environment["SLURM_STEP_ID"],
            restart=int(environment.get("SLURM_RESTART_COUNT", 0)),
            node=int(environment["SLURM_NODEID"]),
            nodes=int(environment["SLURM_STEP_NUM_NODES"]),
            cpus=cpus,
            gpus=_gpus(environment),
            memory_gb=_memory_gb(environment, cpus),
        )
    except KeyError as error:
        raise ConfigError(
            f"Ray's nodes start under srun, but {error.args[0]} is not set; submit by cluster=slurm, "
            "or use cluster=allocation inside sbatch or salloc."
        ) from error


def _gpus(environment: Mapping[str, str]) -> int:
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    if visible and visible != "NoDevFiles":
        return len(visible.split(","))
    return int(environment.get("SLURM_GPUS_ON_NODE", 0))


def _memory_gb(environment: Mapping[str, str], cpus: int) -> float:
    if "SLURM_MEM_PER_NODE" in environment:
        return int(environment["SLURM_MEM_PER_NODE"]) / 1024
    return int(environment.get("SLURM_MEM_PER_CPU", 0)) * cpus / 1024
