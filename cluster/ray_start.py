"""The command lines and the environment of Ray's processes on one node."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from cluster.allocation import Allocation
from cluster.ports import PortBlock

# Places in a block of ports.
GCS, OBJECTS, NODE, RUNTIME_ENV, AGENT_HTTP, AGENT_GRPC, METRICS = range(7)
DASHBOARD, CLIENT, AUTOSCALER_METRICS, DASHBOARD_METRICS = range(7, 11)

_GB = 1 << 30
# Ray's own processes on a node: the store is shared memory, the rest is what tasks may ask for.
_STORE_SHARE = 0.3

_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    # A silent node is lost after 1 + 3 x 2 s; Ray's own defaults take more than a minute.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # A node that is slow to come up is waited for, twice as long as Ray would.
    "RAY_raylet_start_wait_time_s": "60",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    # Half a second, so that a stop gets from the step's edge to the driver's end before Slurm loses patience.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without GPUs, Ray would hide those that a driver was granted.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def environment(token_file: Path, interface: str, ports: PortBlock) -> dict[str, str]:
    """Ours with all that Ray and the libraries above it must agree on; not to be shared between nodes."""
    own = {
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "GLOO_SOCKET_IFNAME": interface,
        "NCCL_SOCKET_IFNAME": interface,
        "AUTOSCALER_METRIC_PORT": str(ports[AUTOSCALER_METRICS]),
        "DASHBOARD_METRIC_PORT": str(ports[DASHBOARD_METRICS]),
    }
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "RAY_AUTH_TOKEN")
    }
    return inherited | _SETTINGS | own


def head(address: str, ports: PortBlock, folder: Path, allocation: Allocation, dashboard: bool) -> list[str]:
    """`ray start --head` on node 0."""
    return [
        *_ray("--head", f"--port={ports[GCS]}"),
        f"--ray-client-server-port={ports[CLIENT]}",  # can't be switched off
        f"--include-dashboard={str(dashboard).lower()}",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={ports[DASHBOARD]}",
        "--no-monitor",  # of the autoscaler, for which an allocation has no use
        *_common(address, ports, folder, allocation),
    ]


def worker(
    head_address: str, address: str, ports: PortBlock, folder: Path, allocation: Allocation
) -> list[str]:
    """`ray start --address` on every other node."""
    return [*_ray(f"--address={head_address}"), *_common(address, ports, folder, allocation)]


def _ray(*words: str) -> list[str]:
    # The module, not the script of that name: it is there however Python was installed.
    return [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *words]


def _common(address: str, ports: PortBlock, folder: Path, allocation: Allocation) -> list[str]:
    flags = [
        f"--node-ip-address={address}",
        f"--temp-dir={folder}",
        f"--num-cpus={allocation.cpus}",
        f"--num-gpus={allocation.gpus}",
        f"--object-manager-port={ports[OBJECTS]}",
        f"--node-manager-port={ports[NODE]}",
        f"--runtime-env-agent-port={ports[RUNTIME_ENV]}",
        f"--dashboard-agent-listen-port={ports[AGENT_HTTP]}",
        f"--dashboard-agent-grpc-port={ports[AGENT_GRPC]}",
        f"--metrics-export-port={ports[METRICS]}",
        "--include-log-monitor=false",  # it sends what workers print to the driver, and nobody asks for that
        "--min-worker-port=0",
        "--max-worker-port=0",
    ]
    if allocation.memory_gb:
        # Ray sees the whole machine, not the job's share of it.
        store = min(_STORE_SHARE * allocation.memory_gb * _GB, 0.9 * shutil.disk_usage("/dev/shm").free)
        flags.append(f"--object-store-memory={int(store)}")
        flags.append(f"--memory={int(allocation.memory_gb * _GB - store)}")
    return flags
