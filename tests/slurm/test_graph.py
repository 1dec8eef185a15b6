"""Stages that wait for one another on the lab."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.graph import Node, strays, submit_graph
from cluster.graph_file import read_graph
from cluster.queue import job_states
from cluster.resources import Resources
from storage.errors import ClusterError
from tests.slurm import tasks
from tests.slurm.conftest import Partition, python, wait_for

pytestmark = pytest.mark.slurm
SMALL = Resources(memory_gb=0.4, timeout_min=5)

SUBMITTER = """
import json, sys, time
from pathlib import Path
import cluster.graph
from cluster.config import ClusterConfig
from tests.slurm.test_graph import chain
submit = cluster.graph._submit
def slowly(node, *rest, **more):
    ids = None
    if sys.argv[3] == "after":
        ids = submit(node, *rest, **more)
    if node.name == "c":
        print("half", flush=True)
        time.sleep(60)
    return ids or submit(node, *rest, **more)
cluster.graph._submit = slowly
config, folder = ClusterConfig(**json.loads(sys.argv[1])), Path(sys.argv[2])
cluster.graph.submit_graph(chain(folder), config, folder / "graph", owner="me")
"""


def chain(folder: Path) -> list[Node]:
    """a -> b[3] -> c, the middle an array."""
    words = (str(folder),)
    return [
        Node(name="a", function=tasks.note, arguments=(*words, "a"), resources=SMALL),
        Node(name="b", function=tasks.part, arguments=words, width=3, resources=SMALL, after=("a",)),
        Node(
            name="c",
            function=tasks.note,
            arguments=(*words, "c", "a", "part-1"),
            resources=SMALL,
            after=("b",),
        ),
    ]


def test_a_failing_middle_does_not_hold_up_what_follows(slurm: ClusterConfig, tmp_path: Path) -> None:
    words = (str(tmp_path),)
    nodes = [
        Node(name="first", function=tasks.note, arguments=(*words, "first"), resources=SMALL),
        Node(name="middle", function=tasks.fail, width=2, resources=SMALL, after=("first",)),
        Node(
            name="last",
            function=tasks.note,
            arguments=(*words, "last", "first"),
            resources=SMALL,
            after=("middle",),
        ),
        Node(
            name="needs",
            function=tasks.note,
            arguments=(*words, "x", "middle"),
            resources=SMALL,
            after=("last",),
        ),
    ]
    ids = submit_graph(nodes, slurm, tmp_path / "graph")
    assert [len(one) for one in ids.values()] == [1, 2, 1, 1]
    states = wait_for([one for some in ids.values() for one in some], lambda state: state.finished)
    assert [states[one].state for one in (*ids["middle"], *ids["last"], *ids["needs"])] == [
        "FAILED", "FAILED", "COMPLETED", "FAILED",
    ]  # fmt: skip
    log = tmp_path / "graph" / "needs" / f"{ids['needs'][0]}_0_log.err"
    assert "FileNotFoundError: x misses middle" in log.read_text()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_submitter_killed_beside_sbatch_goes_on_there(
    slurm: ClusterConfig, tmp_path: Path, partition: Partition, when: str
) -> None:
    """before it submits c, or after, when Slurm has the job and graph.json does not"""
    partition("DOWN")
    first = python(SUBMITTER, json.dumps(asdict(slurm)), str(tmp_path), when)
    assert first.stdout is not None and first.stdout.readline() == "half\n", first.communicate()
    first.kill()
    first.communicate()
    half = read_graph(tmp_path / "graph")
    assert list(half.nodes) == ["a", "b"] and not half.whole
    unknown = strays(tmp_path / "graph")
    assert len(unknown) == (when == "after")
    partition("UP")
    ids = submit_graph(chain(tmp_path), slurm, tmp_path / "graph", owner="me")
    assert not set(unknown) & set(ids["c"]) and strays(tmp_path / "graph") == []
    assert all(one.finished for one in job_states(unknown).values())
    assert ids["a"] == half.nodes["a"].ids and ids["b"] == half.nodes["b"].ids
    states = wait_for([one for some in ids.values() for one in some], lambda state: state.finished)
    assert {state.state for state in states.values()} == {"COMPLETED"}
    assert read_graph(tmp_path / "graph").whole and (tmp_path / "c").exists()


def parts(folder: Path, function: Callable[..., None], width: int) -> list[Node]:
    """parts[width] -> assemble, which asks for missing parts -> report."""
    words, ask = (str(folder),), (str(folder), str(folder / "graph"), width)
    return [
        Node(name="parts", function=function, arguments=words, width=width, resources=SMALL),
        Node(name="assemble", function=tasks.assemble, arguments=ask, resources=SMALL, after=("parts",)),
        Node(name="report", function=tasks.report, arguments=words, resources=SMALL, after=("assemble",)),
    ]


def test_a_step_asks_again_for_what_is_missing_and_the_rest_waits(
    slurm: ClusterConfig, tmp_path: Path
) -> None:
    graph, nodes = tmp_path / "graph", parts(tmp_path, tasks.part, 4)
    ids = submit_graph(nodes, slurm, graph)
    with pytest.raises(ClusterError, match=r"jobs of this run still wait or run \(Slurm "):
        submit_graph(nodes, slurm, graph)
    states = wait_for(ids["report"], lambda state: state.finished)
    assert states[ids["report"][0]].state == "COMPLETED"
    assert tasks.starts(tmp_path) == {0: 1, 1: 1, 2: 2, 3: 1}
    told = read_graph(graph)
    assert [sorted(one) for one in told.nodes["parts"].tries] == [[0, 1, 2, 3], [2]]
    assert len(told.nodes["assemble"].tries) == 2
    assert {state.state for state in job_states(told.nodes["parts"].latest.values()).values()} == {
        "COMPLETED"
    }


def test_what_stays_missing_ends_with_a_sentence(slurm: ClusterConfig, tmp_path: Path) -> None:
    graph, nodes = tmp_path / "graph", parts(tmp_path, tasks.fail, 2)
    ids = submit_graph(nodes, slurm, graph)
    assert wait_for(ids["report"], lambda state: state.finished)[ids["report"][0]].state == "FAILED"
    told = read_graph(graph).nodes
    assert (len(told["parts"].tries), len(told["assemble"].tries), len(told["report"].tries)) == (3, 3, 1)
    last = told["assemble"].latest[0]
    log = (graph / "assemble" / f"{last}_0_log.err").read_text()
    assert "parts was asked again 2 times and inputs are still missing; its logs say why." in log
    again = submit_graph(chain(tmp_path), slurm, graph)
    assert read_graph(graph).earlier["parts"] == told["parts"].ids and list(again) == ["a", "b", "c"]
    wait_for(again["c"], lambda state: state.finished)
    assert time.time() > (tmp_path / "c").stat().st_mtime
