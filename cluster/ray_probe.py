"""Waits until a Ray cluster has enough living nodes: python -m cluster.ray_probe ADDRESS COUNT.

A process of its own, for a client of Ray's control store ends its process when that store goes away.
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress


def wait(address: str, count: int) -> None:
    """Return once `count` nodes or more are alive; for ever, if need be."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # what `ray start` itself asks; a driver would take over the signals
    from ray.core.generated.gcs_pb2 import GcsNodeInfo

    host, _, port = address.rpartition(":")
    while not _listens(host, int(port)):
        time.sleep(0.1)
    client = None
    while True:
        try:
            client = client or GcsClient(address=address)
            alive = client.get_all_node_info(timeout=5, state_filter=GcsNodeInfo.GcsNodeState.ALIVE)
            if len(alive) >= count:
                return
        except Exception:  # not up yet: Ray raises whatever the connection led to
            client = None
        time.sleep(0.2)


def _listens(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


if __name__ == "__main__":
    wait(sys.argv[1], int(sys.argv[2]))
