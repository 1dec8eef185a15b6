"""A Ray job as the user configured the cluster."""

from __future__ import annotations

from pathlib import Path

from cluster.config import ClusterConfig
from cluster.ray_spec import spec_of
from cluster.resources import worker_resources


def test_what_is_configured_arrives(tmp_path: Path) -> None:
    config = ClusterConfig(
        workers=4, nodes=2, interface="ib0", scratch="/local", max_timeouts=3, max_attempts=5
    )
    spec = spec_of(config, tmp_path, progress="steps/*")
    assert (spec.nodes, spec.interface, spec.scratch) == (2, "ib0", "/local")
    assert (spec.max_timeouts, spec.max_attempts, spec.progress) == (3, 5, "steps/*")
    assert (spec.run_folder, spec.signal_delay_s) == (str(tmp_path), config.signal_delay_s)


def test_as_many_nodes_as_the_job_asks_for() -> None:
    for config in (ClusterConfig(), ClusterConfig(workers=3), ClusterConfig(workers=4, nodes=2)):
        assert spec_of(config, Path("run")).nodes == worker_resources(config).nodes
