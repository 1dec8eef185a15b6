"""Whether a job could ever run, as sinfo describes the partitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.partitions import check_fits
from cluster.resources import Resources
from storage.errors import ConfigError


@pytest.fixture(autouse=True)
def sinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two partitions of two nodes; the one with the longer limit has smaller nodes."""
    lines = "short*|1:00:00|2|8|32000|(null)\\nlong|4:00:00|2|4|32000|(null)\\n"
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
