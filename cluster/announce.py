"""What others may know of a running Ray: its token file, cluster.json, the line for the dashboard."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from cluster import ray_start
from cluster.allocation import Allocation
from cluster.ray_node import RayNode
from cluster.ray_spec import Place
from storage.atomic import write_json


def new_token(path: Path) -> str:
    """A secret of this attempt's own, for our eyes alone from its first byte on."""
    path.unlink(missing_ok=True)
    token = secrets.token_hex(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return token


def up(place: Place, allocation: Allocation, node: RayNode, generation: int, dashboard: bool) -> None:
    """Say where Ray and its dashboard are, in the job's log and in cluster.json."""
    host, port = socket.gethostname(), node.ports[ray_start.DASHBOARD]
    login = os.environ.get("SLURM_SUBMIT_HOST", "LOGIN")
    ssh = f"ssh -N -L 8265:127.0.0.1:{port} -J {login} {host}" if dashboard else ""
    about = {
        "state": "up",
        "job": allocation.job,
        "attempt": allocation.attempt,
        "generation": generation,
        "node": host,
        "address": node.address,
        "dashboard_port": port if dashboard else None,
        "token_file": str(place.token),
        "ssh": ssh,
    }
    write_json(place.cluster_file, about)
    if ssh:
        print(f"dashboard: {ssh}   then http://127.0.0.1:8265, token in {place.token}", flush=True)


def down(place: Place, allocation: Allocation) -> None:
    """There is no Ray any more, nor its secret."""
    place.token.unlink(missing_ok=True)
    write_json(place.cluster_file, {"state": "down", "job": allocation.job})
