"""Whether a job could ever run, as sinfo describes the partitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.partitions import check_fits, meets
from cluster.resources import Resources
from storage.errors import ConfigError


@pytest.fixture(autouse=True)
def sinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two partitions of two nodes; the one with the longer limit has smaller nodes."""
    lines = "short*|1:00:00|2|8|32000|(null)|ib,amd\\nlong|4:00:00|2|4|32000|(null)|(null)\\n"
    (tmp_path / "sinfo").write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("asked", [Resources(nodes=2, timeout_min=60), Resources(nodes=2, timeout_min=240)])
def test_one_of_the_partitions_is_enough(asked: Resources) -> None:
    check_fits(ClusterConfig(partition="short,long"), asked)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Resources(nodes=3), r"^partition short,long can never give 3 node"),
        (Resources(timeout_min=241), r"allows 240 minutes"),
        (Resources(cpus_per_task=8, timeout_min=61), r"allows 60 minutes"),
    ],
)
def test_two_partitions_are_not_one_large_one(asked: Resources, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_fits(ClusterConfig(partition="short,long"), asked)


@pytest.mark.parametrize(
    ("constraint", "meant"),
    [
        (None, True),
        ("ib", True),
        ("fast", False),
        ("ib&amd", True),
        ("ib&fast", False),
        ("fast|amd", True),
        ("ib&fast|amd", True),
        ("ib&(fast|new)", False),
        ("(fast|amd)&ib", True),
        ("[rack1|amd]", True),
        ("[fast*2&ib*1]", True),
        ("[fast*2&new*1]", False),
    ],
)
def test_features_as_slurm_combines_them(constraint: str | None, meant: bool) -> None:
    assert meets(constraint, "ib,amd") == meant


def test_only_nodes_with_the_wanted_features_count() -> None:
    config = ClusterConfig(partition="short,long", constraint="ib")
    check_fits(config, Resources(nodes=2, timeout_min=60))
    with pytest.raises(ConfigError, match="allows 60 minutes"):
        check_fits(config, Resources(nodes=2, timeout_min=240))
    with pytest.raises(ConfigError, match=r"has no node with cluster\.constraint=fast"):
        check_fits(ClusterConfig(constraint="fast"), Resources())
