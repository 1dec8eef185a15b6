"""The same interface without Slurm: processes of this machine, and this process."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cluster.array import ArrayError, map_array
from cluster.config import ClusterConfig
from cluster.executor import make_executor, slurm_parameters
from cluster.graph import Node, submit_graph
from cluster.graph_file import Graph, Submitted, next_try, read_graph, record_try, write_graph
from cluster.resources import Resources
from cluster.script import check_submission, sbatch_text
from storage.errors import ClusterError, ConfigError, InputError
from tests.slurm import tasks

ROOT = Path(__file__).parents[2]
SUBMITTER = """
import json, sys
from pathlib import Path
from cluster.array import map_array
from cluster.config import ClusterConfig
from cluster.resources import Resources
from tests.slurm import tasks
config, folder = ClusterConfig(**json.loads(sys.argv[1])), sys.argv[2]
words = (folder + "/s",)
map_array(config, Path(folder, "jobs"), "f", Resources(), tasks.slow_square, [1, 2, 3], arguments=words)
"""


@pytest.fixture(params=["debug", "local"])
def config(request: pytest.FixtureRequest) -> ClusterConfig:
    return ClusterConfig(kind=request.param, array_width=2)


def test_results_stand_in_the_order_of_the_indices(config: ClusterConfig, tmp_path: Path) -> None:
    assert map_array(config, tmp_path, "f", Resources(), math.factorial, [4, 0, 3]) == [24, 1, 6]
    assert map_array(config, tmp_path / "none", "f", Resources(), math.factorial, []) == []


def test_failing_indices_are_listed_and_only_they_run_again(config: ClusterConfig, tmp_path: Path) -> None:
    words = (f"{tmp_path}/s",)
    with pytest.raises(
        ArrayError, match=r"1 of its tasks failed in each of 2 tries: 5\. The first said: .*no luck"
    ):
        map_array(
            config, tmp_path / "jobs", "luck", Resources(), tasks.fails_first, [3, 4, 5], arguments=words
        )
    assert tasks.starts(tmp_path / "s") == {3: 2, 4: 1, 5: 2}


def test_a_graph_runs_in_order_and_is_on_record(config: ClusterConfig, tmp_path: Path) -> None:
    words, small = (str(tmp_path),), Resources()
    nodes = [
        Node(name="a", function=tasks.note, arguments=(*words, "a"), resources=small),
        Node(name="b", function=tasks.part, arguments=words, width=2, resources=small, after=("a",)),
        Node(
            name="c",
            function=tasks.note,
            arguments=(*words, "c", "a", "part-1"),
            resources=small,
            after=("b",),
        ),
    ]
    ids = submit_graph(nodes, config, tmp_path / "graph")
    assert (tmp_path / "c").exists()
    told = read_graph(tmp_path / "graph")
    assert (
        told.whole and told.config == config and {name: node.ids for name, node in told.nodes.items()} == ids
    )
    assert told.nodes["b"].resources == small and told.nodes["c"].after == ("b",)
    assert submit_graph(nodes, config, tmp_path / "graph").keys() == ids.keys()
    assert read_graph(tmp_path / "graph").earlier == ids


def test_only_the_same_submission_goes_on(tmp_path: Path) -> None:
    config, small = ClusterConfig(kind="debug"), Resources()
    nodes = [
        Node(name="a", function=tasks.note, arguments=(str(tmp_path), "a"), resources=small),
        Node(
            name="b", function=tasks.note, arguments=(str(tmp_path), "b", "a"), resources=small, after=("a",)
        ),
    ]
    first = submit_graph(nodes[:1], config, tmp_path / "graph", "one")
    write_graph(tmp_path / "graph", replace(read_graph(tmp_path / "graph"), whole=False))
    assert submit_graph(nodes, config, tmp_path / "graph", "one")["a"] == first["a"]
    write_graph(tmp_path / "graph", replace(read_graph(tmp_path / "graph"), whole=False))
    assert submit_graph(nodes, config, tmp_path / "graph", "two")["a"] != first["a"]
    told = read_graph(tmp_path / "graph")
    assert told.owner == "two" and told.whole and told.earlier["a"] == first["a"]


@pytest.mark.parametrize(
    ("states", "goes_on"),
    [("RUNNING PENDING", True), ("COMPLETED RUNNING", True), ("COMPLETED CANCELLED", False)],
)
def test_nothing_goes_on_behind_jobs_that_were_cancelled(
    states: str, goes_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = list(enumerate(states.split(), 1))
    start = "2026-11-22T10:00:00"
    answers = {
        "sacct": [f"{job}|{state}||n1|60|{start}|1|0:0" for job, state in jobs],
        "squeue": [
            f"{job}|{state}||n1|1:00|{start}|1|" for job, state in jobs if state in ("RUNNING", "PENDING")
        ],
    }
    for name, lines in answers.items():
        (tmp_path / f"{name}.answer").write_text("\n".join(lines) + "\n")
        (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path}/{name}.answer\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    known = {
        name: Submitted(name=name, width=0, resources=Resources(), after=(), ray=False, tries=({0: job},))
        for name, job in (("a", "1"), ("b", "2"))
    }
    write_graph(
        tmp_path / "graph", Graph(nodes=known, config=ClusterConfig(kind="slurm"), whole=False, owner="one")
    )
    nodes = [
        Node(name=name, function=tasks.note, arguments=(str(tmp_path), name), resources=Resources())
        for name in "ab"
    ]
    ids = submit_graph(nodes, ClusterConfig(kind="debug"), tmp_path / "graph", "one")
    assert (ids == {"a": ["1"], "b": ["2"]}) == goes_on


def test_a_killed_submitter_of_this_machine_is_taken_up(tmp_path: Path) -> None:
    config = ClusterConfig(kind="local", array_width=8)
    words = [sys.executable, "-c", SUBMITTER, json.dumps(asdict(config)), str(tmp_path)]
    first = subprocess.Popen(words, cwd=ROOT)
    deadline = time.monotonic() + 60
    while len(tasks.starts(tmp_path / "s")) < 3:
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    done = map_array(
        config,
        tmp_path / "jobs",
        "f",
        Resources(),
        tasks.slow_square,
        [1, 2, 3],
        arguments=(f"{tmp_path}/s",),
    )
    assert done == [1, 4, 9] and tasks.starts(tmp_path / "s") == {1: 1, 2: 1, 3: 1}


def test_an_allocation_submits_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cluster=allocation submits nothing; use cluster=slurm"):
        make_executor(ClusterConfig(kind="allocation"), tmp_path, "f", Resources())


def test_no_slurm_at_all_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    config, node = ClusterConfig(kind="slurm"), Node(name="a", function=print, resources=Resources())
    sentence = (
        r"^cluster=slurm needs Slurm's sbatch and srun, which are not in PATH here; run this on a login node"
    )
    with pytest.raises(ConfigError, match=sentence):
        submit_graph([node], config, tmp_path)
    with pytest.raises(ConfigError, match=sentence):
        check_submission(sbatch_text(node, config, tmp_path), config, node.resources)
    assert list(tmp_path.iterdir()) == []


def test_nothing_submitted_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^No jobs were submitted to .*; a run with cluster=slurm submits some\.$"
    ):
        read_graph(tmp_path)


def test_tries_are_bounded_and_each_belongs_to_one(tmp_path: Path) -> None:
    place = next_try(tmp_path, "a", 1)
    record_try(place, {3: "17_3"})
    with pytest.raises(
        ClusterError, match=r"^a was asked again 1 times and inputs are still missing; its logs"
    ):
        next_try(tmp_path, "a", 1)
    assert next_try(tmp_path, "a", None) != place and next_try(tmp_path, "b", 1) != place


GOLDEN = """\
#!/bin/bash

# Parameters
# starts when these have ended: scan, plan
#SBATCH --account=group
#SBATCH --array=0-4%3
#SBATCH --constraint=ib
#SBATCH --cpus-per-task=2
#SBATCH --error=/shared/out/cluster/write/%A_%a_0_log.err
#SBATCH --exclude='n[1-2]'
#SBATCH --gpus-per-node=1
#SBATCH --job-name=radmill-write
#SBATCH --mem=1536M
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=/shared/out/cluster/write/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=30

# setup
module load gcc

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /shared/out/cluster/write/%A_%a_%t_log.out --error \
/shared/out/cluster/write/%A_%a_%t_log.err --cpus-per-task=2 --cpu-bind=none --mpi=none \
PYTHON -u -m submitit.core._submit /shared/out/cluster/write
"""


def test_the_script_is_this_text() -> None:
    config = ClusterConfig(
        kind="slurm", partition="gpu", account="group", qos="long", constraint="ib", exclude="n[1-2]",
        setup=["module load gcc"], srun_args=["--mpi=none"], array_width=3,
    )  # fmt: skip
    resources = Resources(cpus_per_task=2, gpus_per_node=1, memory_gb=1.5, timeout_min=30)
    node = Node(name="write", function=print, width=5, resources=resources, after=("scan", "plan"))
    text = sbatch_text(node, config, Path("/shared/out/cluster"))
    assert text.replace(sys.executable, "PYTHON") == GOLDEN


def test_jobs_wait_for_whole_arrays_and_never_for_ever() -> None:
    told = slurm_parameters(
        ClusterConfig(kind="slurm"), "a", Resources(), after=["7_0", "7_1", "9"], exclude=["n3"]
    )
    assert told["dependency"] == "afterany:7:9" and told["exclude"] == "n3"
    assert told["additional_parameters"] == {"requeue": True, "kill-on-invalid-dep": "yes"}
    ray = slurm_parameters(ClusterConfig(), "a", Resources(nodes=2), requeue=False, survive_nodes=True)
    assert ray["additional_parameters"] == {"no-requeue": True, "no-kill": True}
    assert ray["srun_args"][-2:] == ["--no-kill", "--kill-on-bad-exit=0"]
