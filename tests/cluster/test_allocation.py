"""What Slurm granted, and by which address others find us."""

from __future__ import annotations

import pytest

from cluster.addresses import own_address
from cluster.allocation import granted
from cluster.ray_cluster import run_in_allocation
from cluster.ray_spec import RaySpec
from storage.errors import ConfigError

STEP = {
    "SLURM_JOB_ID": "41",
    "SLURM_STEP_ID": "0",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_CPUS_ON_NODE": "8",
}


def test_a_plain_step() -> None:
    allocation = granted(STEP)
    assert (allocation.attempt, allocation.node, allocation.nodes) == ("41.0.0", 1, 3)
    assert (allocation.cpus, allocation.gpus, allocation.memory_gb) == (8, 0, 0)


def test_what_slurm_names_is_taken_as_it_is() -> None:
    more = {"SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_CPU": "2048", "SLURM_GPUS_ON_NODE": "2"}
    allocation = granted(STEP | more | {"SLURM_RESTART_COUNT": "3"})
    assert (allocation.attempt, allocation.cpus, allocation.gpus) == ("41.0.3", 4, 2)
    assert allocation.memory_gb == 8
    uuids = {"CUDA_VISIBLE_DEVICES": "GPU-1a,GPU-2b,GPU-3c", "SLURM_MEM_PER_NODE": "3072"}
    assert (granted(STEP | uuids).gpus, granted(STEP | uuids).memory_gb) == (3, 3)


def test_outside_of_a_step_is_a_sentence() -> None:
    with pytest.raises(
        ConfigError, match=r"^Ray's nodes start under srun, but SLURM_CPUS_ON_NODE is not set"
    ):
        granted({})


def test_outside_of_an_allocation_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_NUM_NODES", raising=False)
    with pytest.raises(ConfigError, match=r"^cluster=allocation runs inside sbatch or salloc"):
        run_in_allocation(RaySpec(run_folder="/nowhere"), ["true"])


def test_more_nodes_than_the_allocation_has_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    with pytest.raises(ConfigError, match=r"^3 nodes are needed, but this allocation has 2"):
        run_in_allocation(RaySpec(run_folder="/nowhere", nodes=3), ["true"])


def test_an_interface_by_name() -> None:
    assert own_address("lo") == ("127.0.0.1", "lo")
    address, interface = own_address()
    assert own_address(interface)[1] == interface
    assert address.count(".") == 3


def test_an_interface_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(
        ConfigError, match=r"^cluster\.interface=ib7 has no IPv4 address on .*, which has .*lo"
    ):
        own_address("ib7")
