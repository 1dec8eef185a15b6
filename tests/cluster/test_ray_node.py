"""Ray on one node: a start that fails leaves nothing, and none is in the way of the next."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.allocation import Allocation
from cluster.ports import take_block
from cluster.ray_node import RayNode

ALLOCATION = Allocation(job="7", step="0", restart=0, node=1, nodes=2, cpus=1, gpus=0, memory_gb=0)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Short, as Ray's sockets want it."""
    with tempfile.TemporaryDirectory(prefix="rm", dir="/tmp") as folder:
        yield Path(folder)


def options(scratch: Path, logs: Path) -> dict[str, Any]:
    return {
        "address": "127.0.0.1",
        "interface": "lo",
        "scratch": scratch,
        "logs": logs,
        "token_file": logs / "token",
        "head_address": "127.0.0.1:1",
    }


def test_a_start_that_fails_leaves_neither_folder_nor_ports_nor_process(
    tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "logs").write_text("in the way")
    before = psutil.Process().children()
    with pytest.raises(FileExistsError):
        RayNode(ALLOCATION, 0, **options(scratch, tmp_path / "logs"))
    assert psutil.Process().children() == before
    assert [path.name for path in scratch.iterdir() if path.name.startswith("r7.")] == []
    first = 7 * 8 + 1
    bases = [block.base for block in (take_block(scratch, first), take_block(scratch, first + 1))]
    assert bases[0] < bases[1]  # the first was free again


def test_what_a_start_left_is_not_in_the_way_of_the_next(tmp_path: Path, scratch: Path) -> None:
    left = scratch / "r7.0.0.1.0"
    left.mkdir(parents=True)  # no owner in it: it may be one that is just being made, so the sweep leaves it
    node = RayNode(ALLOCATION, 1, **options(scratch, tmp_path / "logs"))
    try:
        assert (scratch / "r7.0.0.1.1").is_dir()
    finally:
        node.end()
    assert node.code is not None
    assert [path for path in scratch.iterdir() if path.name.startswith("r7.")] == [left]
