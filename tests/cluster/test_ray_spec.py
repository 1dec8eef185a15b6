"""A Ray job as the user configured the cluster."""

from __future__ import annotations

from pathlib import Path

from cluster.bounds import Budget
from cluster.config import ClusterConfig
from cluster.ray_spec import RaySpec, spec_of
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


def test_a_later_stages_progress_shows_beside_an_earlier_ones(tmp_path: Path) -> None:
    spec = RaySpec(run_folder=str(tmp_path / "cluster"), progress="../*/checkpoints/step-*")
    (tmp_path / "cluster").mkdir()
    told = []
    for name in (
        "segment/checkpoints/step-900",
        "segment/checkpoints/step-1000",
        "classify/checkpoints/step-5",
    ):
        (tmp_path / name).mkdir(parents=True)
        told.append(spec.progress_now())
    assert told == [900, 1000, 1005]


def test_work_that_begins_anew_is_measured_from_there() -> None:
    here = iter([1000, 0, 10, 10, 10])
    budget = Budget(lambda: next(here), 1)
    assert [budget.spend() for _ in range(4)] == [True, True, False, False]
