"""What the machine grants."""

import os

import pytest

from cluster.config import ClusterConfig
from cluster.local import num_processes
from storage.errors import ConfigError


def test_zero_takes_every_cpu_granted() -> None:
    assert num_processes(ClusterConfig(processes=0)) == len(os.sched_getaffinity(0))
    assert num_processes(ClusterConfig(processes=3)) == 3


def test_unknown_kind_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^cluster\.kind must be one of local, .*, debug, but is moon\.$"):
        ClusterConfig(kind="moon")
