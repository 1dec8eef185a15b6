"""Ray's command lines: all of it is told, and nothing that Ray refuses on a node that is not the head."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster import ray_start
from cluster.allocation import Allocation
from cluster.ports import PortBlock, take_block

ALLOCATION = Allocation(job="7", step="0", restart=0, node=1, nodes=2, cpus=3, gpus=2, memory_gb=2.0)


@pytest.fixture
def block(tmp_path: Path) -> PortBlock:
    return take_block(tmp_path, 100)


def test_no_port_is_left_to_chance_or_used_twice(block: PortBlock, tmp_path: Path) -> None:
    command = ray_start.head("10.0.0.1", block, tmp_path, ALLOCATION, dashboard=True)
    ports = [int(number) for number in re.findall(r"-port=(\d+)", " ".join(command)) if number != "0"]
    environment = ray_start.environment(tmp_path / "token", "eth0", block)
    ports += [int(environment[name]) for name in ("AUTOSCALER_METRIC_PORT", "DASHBOARD_METRIC_PORT")]
    assert len(set(ports)) == len(ports) == 11
    assert all(block.base <= port < block.base + 16 for port in ports)


def test_a_worker_is_told_nothing_that_is_the_heads(block: PortBlock, tmp_path: Path) -> None:
    command = " ".join(ray_start.worker("10.0.0.1:20000", "10.0.0.2", block, tmp_path, ALLOCATION))
    assert not re.search(r"--(port|dashboard-port|ray-client-server-port|include-dashboard)=", command)
    assert "--address=10.0.0.1:20000" in command


def test_resources_are_the_jobs_share_not_the_machines(block: PortBlock, tmp_path: Path) -> None:
    command = " ".join(ray_start.worker("10.0.0.1:20000", "10.0.0.2", block, tmp_path, ALLOCATION))
    assert "--num-cpus=3 --num-gpus=2" in command
    memory, store = (
        int(re.findall(rf"--{name}=(\d+)", command)[0]) for name in ("memory", "object-store-memory")
    )
    assert 0 < store < memory
    assert abs(memory + store - 2 * 2**30) < 2


def test_another_rays_address_and_token_do_not_leak_in(
    block: PortBlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "somebody:6379")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "theirs")
    environment = ray_start.environment(tmp_path / "token", "eth0", block)
    assert not {"RAY_ADDRESS", "RAY_AUTH_TOKEN"} & set(environment)
    assert (environment["RAY_AUTH_MODE"], environment["GLOO_SOCKET_IFNAME"]) == ("token", "eth0")
